package api

import (
	"bytes"
	_ "embed"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5/static"
	"github.com/swaggest/swgui/v5emb"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/locale"
)

//go:embed openapi.yaml
var openAPIDocument []byte

// openAPI answers GET /openapi.yaml.
func (s *Server) openAPI(c echo.Context) error {
	c.Response().Header().Set(echo.HeaderCacheControl, publicCache)
	return c.Blob(http.StatusOK, "application/yaml", openAPIAt(s.publicPath))
}

// openAPIAt is the document with the path of the public URL as its server.
func openAPIAt(publicPath string) []byte {
	if publicPath == "" {
		return openAPIDocument
	}
	const servers = "\nservers:\n  - url: "
	return bytes.Replace(openAPIDocument, []byte(servers+"/\n"), []byte(servers+publicPath+"\n"), 1)
}

// docsPolicy lets the page run its own scripts and load nothing from another host.
const docsPolicy = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// newDocsPage makes the page below the path of the public URL. A proxy takes that path off before requests come here.
func newDocsPage(publicPath string) http.Handler {
	return v5emb.NewWithConfig(swgui.Config{
		Title: "Latchkey", SwaggerJSON: publicPath + "/openapi.yaml", BasePath: publicPath + "/docs/",
		InternalBasePath: "/docs/",
	})("", "", "")
}

// docs answers GET /docs: a page to read the API and to try it.
func (s *Server) docs(c echo.Context) error {
	if name := c.Param("*"); name != "" && !isDocsFile(name) {
		return fault.New(fault.NotFound)
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentSecurityPolicy, docsPolicy)
	h.Set(echo.HeaderCacheControl, publicCache)
	s.docsPage.ServeHTTP(c.Response(), c.Request())
	return nil
}

// isDocsFile reports whether the page has a file of the name. Most are embedded compressed.
func isDocsFile(name string) bool {
	for _, stored := range []string{name, name + ".gz"} {
		if info, err := fs.Stat(static.FS, stored); err == nil && !info.IsDir() {
			return true
		}
	}
	return false
}

//go:embed problem.html
var problemHTML string

var problemPage = template.Must(template.New("problem").Parse(problemHTML))

// explanation is the content of a problem's page.
type explanation struct {
	Language      locale.Language
	Title         string
	Explain       string
	WhatToDo      string
	ForDevelopers string
	Code          fault.Code
	Status        int
	Labels        labels
}

type labels struct{ WhatToDo, ForDevelopers, Code, Status, RequestID, Docs string }

// explainProblem answers GET /problems/{code}, the page that a problem's type names.
func (s *Server) explainProblem(c echo.Context) error {
	code := fault.Code(strings.ReplaceAll(c.Param("code"), "-", "_"))
	if !slices.Contains(fault.All(), code) || pageName(code) != c.Param("code") {
		return fault.New(fault.NotFound)
	}
	language := locale.Match(c.Request().Header.Get("Accept-Language"), locale.Default)
	say := func(key string) string { return locale.Text(language, key, nil) }
	about := "problem." + string(code)
	var page strings.Builder
	err := problemPage.Execute(&page, explanation{
		Language: language, Title: say(about + ".title"), Explain: say(about + ".explain"),
		WhatToDo: say(about + ".what_to_do"), ForDevelopers: say(about + ".for_developers"),
		Code: code, Status: statuses[code],
		Labels: labels{
			say("page.what_to_do"), say("page.for_developers"), say("page.code"), say("page.status"),
			say("page.quote_request_id"), say("page.back_to_docs"),
		},
	})
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentSecurityPolicy, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set(echo.HeaderCacheControl, publicCache)
	h.Set("Content-Language", string(language))
	h.Add(echo.HeaderVary, "Accept-Language")
	return c.HTML(http.StatusOK, page.String())
}
