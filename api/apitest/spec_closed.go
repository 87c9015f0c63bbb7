package apitest

import "github.com/getkin/kin-openapi/openapi3"

// closeAnswers makes the schemas of answers closed. The published document lets answers get further members and codes, so
// that clients are ready for them, but a test must notice a member or a code that the document does not list.
func closeAnswers(doc *openapi3.T) {
	seen := map[*openapi3.Schema]bool{}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for _, response := range op.Responses.Map() {
				for _, content := range response.Value.Content {
					closeSchema(content.Schema, seen)
				}
			}
		}
	}
}

func closeSchema(ref *openapi3.SchemaRef, seen map[*openapi3.Schema]bool) {
	if ref == nil || seen[ref.Value] {
		return
	}
	schema := ref.Value
	seen[schema] = true
	if values, open := schema.Extensions["x-extensible-enum"].([]any); open {
		schema.Enum = values
	}
	more := &schema.AdditionalProperties
	if len(schema.Properties) > 0 && more.Has == nil && more.Schema == nil {
		closed := false
		more.Has = &closed
	}
	closeSchema(more.Schema, seen)
	closeSchema(schema.Items, seen)
	for _, property := range schema.Properties {
		closeSchema(property, seen)
	}
	for _, parts := range []openapi3.SchemaRefs{schema.AllOf, schema.AnyOf, schema.OneOf} {
		for _, part := range parts {
			closeSchema(part, seen)
		}
	}
}
