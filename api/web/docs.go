package web

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"

	"github.com/swaggest/swgui/v5/static"
)

var (
	//go:embed docs.html
	docsHTML string

	//go:embed docs.js
	docsJS []byte

	//go:embed docs.css
	docsCSS []byte
)

// below turns the page at /docs into the one at /docs/, whose links start from one folder below.
// It is not a template: with html/template the linker can leave out no exported method of any type, which costs megabytes.
var below = strings.NewReplacer(`="docs/`, `="./`, `="openapi.json"`, `="../openapi.json"`, `="dashboard/"`, `="../dashboard/"`)

// docsPolicy lets the docs page load what this service serves, and nothing else:
// the page must work, and stay silent, where there is no internet.
// Swagger UI sets style attributes and draws its icons from data: URLs.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Docs are the files of the documentation page.
type Docs struct {
	// Page is the page at /docs, and PageBelow the one at /docs/.
	// All links of a page are relative, because a proxy may serve it below a path of its own, and so differ between the two.
	Page, PageBelow Asset

	// Files are those that the pages load, by name.
	Files map[string]Asset
}

// LoadDocs returns the documentation page. It is prepared once.
var LoadDocs = sync.OnceValues(func() (Docs, error) {
	docs := Docs{Page: NewAsset("docs.html", []byte(docsHTML)), PageBelow: NewAsset("docs.html", []byte(below.Replace(docsHTML)))}
	docs.Page.policy, docs.PageBelow.policy = docsPolicy, docsPolicy
	docs.Files = map[string]Asset{"docs.js": NewAsset("docs.js", docsJS), "docs.css": NewAsset("docs.css", docsCSS)}
	for _, name := range []string{"swagger-ui.css.gz", "swagger-ui-bundle.js.gz", "favicon-32x32.png"} {
		data, err := static.FS.ReadFile(name)
		if err != nil {
			return Docs{}, fmt.Errorf("web: docs page: %w", err)
		}
		docs.Files[strings.TrimSuffix(name, ".gz")] = NewAsset(name, data)
	}
	return docs, nil
})
