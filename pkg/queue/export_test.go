package queue

// NewSampledHandler is what River logs through.
var NewSampledHandler = newSampledHandler
