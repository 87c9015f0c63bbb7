package contract_test

import (
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// published is the document as the server embeds it. The harness closes its own copy.
func published(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../../openapi.yaml")
	require.NoError(t, err)
	return doc
}

// Clients that are generated from the document must take codes and members that come later.
func TestPublishedDocumentIsOpen(t *testing.T) {
	t.Parallel()
	doc := published(t)
	require.Equal(t, "3.0.4", doc.OpenAPI)
	for _, name := range []string{"ProblemCode", "FieldCode", "RemedyAction"} {
		schema := doc.Components.Schemas[name].Value
		require.NotEmpty(t, schema.Extensions["x-extensible-enum"], name)
		require.Empty(t, schema.Enum, name)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status, response := range op.Responses.Map() {
				for _, content := range response.Value.Content {
					requireOpen(t, method+" "+path+" "+status, content.Schema, map[*openapi3.Schema]bool{})
				}
			}
		}
	}
}

func requireOpen(t *testing.T, where string, ref *openapi3.SchemaRef, seen map[*openapi3.Schema]bool) {
	t.Helper()
	if ref == nil || seen[ref.Value] {
		return
	}
	seen[ref.Value] = true
	has := ref.Value.AdditionalProperties.Has
	require.True(t, has == nil || *has, "%s is closed", where)
	for name, property := range ref.Value.Properties {
		requireOpen(t, where+" "+name, property, seen)
		if name == "next" {
			require.Empty(t, property.Value.Enum, where)
		}
	}
	requireOpen(t, where, ref.Value.Items, seen)
	for _, part := range ref.Value.AllOf {
		requireOpen(t, where, part, seen)
	}
}

// Generators make a type of each component, so two of one name collide whatever their kinds.
func TestComponentsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	c := published(t).Components
	kinds := map[string]string{}
	add := func(kind, name string) {
		name = strings.ToLower(name)
		require.Empty(t, kinds[name], "%s is a %s and a %s", name, kind, kinds[name])
		kinds[name] = kind
	}
	for name := range c.Schemas {
		add("schema", name)
	}
	for name := range c.Responses {
		add("response", name)
	}
	for name := range c.Parameters {
		add("parameter", name)
	}
	for name := range c.Headers {
		add("header", name)
	}
	for name := range c.RequestBodies {
		add("request body", name)
	}
}
