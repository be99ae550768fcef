//go:build integration

package admin

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// browser is a headless Chromium with one page, driven by its DevTools protocol:
// enough of it to click, to type and to look.
type browser struct {
	t    *testing.T
	conn net.Conn
	last int
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	dir, err := os.MkdirTemp("", "rewatch-browser")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--remote-debugging-port=0", "--user-data-dir="+dir, "about:blank")
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it has children of its own
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_ = os.RemoveAll(dir) // a child may still be writing; what is left is in the temporary directory
	})
	var port string
	eventually(t, "the port of the browser", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "DevToolsActivePort"))
		port, _, _ = strings.Cut(string(text), "\n")
		return port != ""
	})
	response, err := http.Get("http://127.0.0.1:" + port + "/json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var targets []struct {
		Type string `json:"type"`
		URL  string `json:"webSocketDebuggerUrl"`
	}
	if err := json.NewDecoder(response.Body).Decode(&targets); err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		if target.Type != "page" {
			continue
		}
		conn, _, _, err := ws.Dial(context.Background(), target.URL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return &browser{t: t, conn: conn}
	}
	t.Fatal("the browser has no page")
	return nil
}

// call sends one command and waits for its result.
func (b *browser) call(method string, params map[string]any) json.RawMessage {
	b.t.Helper()
	b.last++
	request, _ := json.Marshal(map[string]any{"id": b.last, "method": method, "params": params})
	if err := wsutil.WriteClientText(b.conn, request); err != nil {
		b.t.Fatal(err)
	}
	_ = b.conn.SetDeadline(time.Now().Add(20 * time.Second))
	for {
		text, err := wsutil.ReadServerText(b.conn)
		if err != nil {
			b.t.Fatal(err)
		}
		var answer struct {
			ID     int             `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(text, &answer); err != nil || answer.ID != b.last {
			continue // an event
		}
		if answer.Error != nil {
			b.t.Fatalf("%s: %s", method, answer.Error)
		}
		return answer.Result
	}
}

// eval returns what an expression gives as text.
func (b *browser) eval(format string, args ...any) string {
	b.t.Helper()
	var answer struct {
		Result struct {
			Value any `json:"value"`
		} `json:"result"`
	}
	result := b.call("Runtime.evaluate", map[string]any{"expression": fmt.Sprintf(format, args...), "awaitPromise": true})
	if err := json.Unmarshal(result, &answer); err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprint(answer.Result.Value)
}

func (b *browser) open(url string, width, height int) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false})
	b.call("Page.navigate", map[string]any{"url": url})
	eventually(b.t, "the first figures", func() bool {
		return b.eval(`document.getElementById("state")?.textContent !== "Connecting" && document.readyState === "complete"`) == "true"
	})
}

// shot leaves a picture in the directory that CONSOLE_SHOTS names.
func (b *browser) shot(name string) {
	dir := os.Getenv("CONSOLE_SHOTS")
	if dir == "" {
		return
	}
	var answer struct {
		Data string `json:"data"`
	}
	_ = json.Unmarshal(b.call("Page.captureScreenshot", nil), &answer)
	png, _ := base64.StdEncoding.DecodeString(answer.Data)
	if err := os.WriteFile(filepath.Join(dir, name+".png"), bytes.Clone(png), 0o600); err != nil {
		b.t.Error(err)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 100 {
		if is() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%s: not within 10 s", what)
}
