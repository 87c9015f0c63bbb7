package apitest

import (
	"maps"
	"net/http"
	"regexp"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
)

// AcceptsCredentials reports whether an operation takes credentials of a kind.
func AcceptsCredentials(op Operation, scheme string) bool {
	return op.Security != nil && slices.ContainsFunc(*op.Security, func(r openapi3.SecurityRequirement) bool {
		_, ok := r[scheme]
		return ok
	})
}

// ExampleBody is the request that openapi.yaml shows for an operation; nil for one without a body.
func ExampleBody(op Operation) any {
	if op.RequestBody == nil {
		return nil
	}
	return op.RequestBody.Value.Content[exampleType(op)].Example
}

// exampleType is the media type of ExampleBody. An import takes workbooks too, of which a document shows no example;
// its CSV comes last by name.
func exampleType(op Operation) string {
	return slices.Max(slices.Collect(maps.Keys(op.RequestBody.Value.Content)))
}

var parameter = regexp.MustCompile(`\{[a-z_]+\}`)

// FillPath puts a portal, and something of the right form for every other parameter, into a path of openapi.yaml.
func FillPath(path, slug string) string {
	return parameter.ReplaceAllStringFunc(path, func(name string) string {
		switch name {
		case "{portal}":
			return slug
		case "{code}":
			return "not-found"
		}
		return uuid.Must(uuid.NewV7()).String()
	})
}

// WantsCredentials reports whether an operation requires credentials. An empty requirement makes them optional.
func WantsCredentials(op Operation) bool {
	return op.Security != nil && len(*op.Security) > 0 &&
		!slices.ContainsFunc(*op.Security, func(r openapi3.SecurityRequirement) bool { return len(r) == 0 })
}

// Entitled gives a request the credentials that its operation takes: the operator's, or else a person's.
func Entitled(op Operation, in Tokens) Option {
	switch {
	case AcceptsCredentials(op, "apiKey"):
		return AsOperator
	case AcceptsCredentials(op, "accessToken"):
		return Bearer(in.Access)
	}
	return func(*http.Request) {}
}

// TakesJSON reports whether an operation has a JSON body.
func TakesJSON(op Operation) bool {
	return op.RequestBody != nil && op.RequestBody.Value.Content["application/json"] != nil
}
