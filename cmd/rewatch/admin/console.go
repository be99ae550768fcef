package admin

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
)

// consoleFiles are the files of the console: HTML, CSS and JavaScript, which use the API. They load
// nothing from other servers.
//
//go:embed console
var consoleFiles embed.FS

// asset is one file of the console, ready to be served.
type asset struct {
	body []byte
	kind string
	etag string
}

var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// console answers / and the files of the console. Embedded files have no time of change, so an ETag with
// a hash tells the browser whether its copy is current.
func (a *Admin) console() http.HandlerFunc {
	assets := loadAssets()
	return func(w http.ResponseWriter, r *http.Request) {
		found, ok := assets[r.URL.Path]
		if !ok {
			writeError(w, http.StatusNotFound, "there is no "+r.URL.Path+"; see /, /healthz, /readyz, /metrics and /api/v1/")
			return
		}
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", found.etag)
		if r.Header.Get("If-None-Match") == found.etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Type", found.kind)
		_, _ = w.Write(found.body)
	}
}

func loadAssets() map[string]asset {
	entries, err := consoleFiles.ReadDir("console")
	if err != nil {
		panic(err) // the directory is part of the binary
	}
	assets := map[string]asset{}
	for _, entry := range entries {
		body, err := consoleFiles.ReadFile("console/" + entry.Name())
		if err != nil {
			panic(err)
		}
		hash := sha256.Sum256(body)
		found := asset{
			body: body,
			kind: contentTypes[path.Ext(entry.Name())],
			etag: `"` + hex.EncodeToString(hash[:8]) + `"`,
		}
		assets["/"+entry.Name()] = found
		if entry.Name() == "index.html" {
			assets["/"] = found
		}
	}
	return assets
}
