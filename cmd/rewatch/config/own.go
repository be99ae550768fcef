package config

import (
	"rewatch/dialogs/recovery/hook"
	"rewatch/proxy/uac"
)

func checkHook(in *inspection, c *Config) {
	const request, body, token = "REWATCH_DEREGISTER_HOOK", "REWATCH_DEREGISTER_HOOK_BODY", "REWATCH_DEREGISTER_HOOK_TOKEN"
	if c.UAC.Hook == "" {
		if c.UAC.HookBody != "" || c.UAC.HookToken != "" {
			in.reject(request, "METHOD URL, because other variables of the hook are set")
		}
		return
	}
	if err := hook.Check(c.UAC.Hook); err != nil {
		in.reject(request, err.Error())
	}
	if err := hook.CheckBody(c.UAC.HookBody); in.ok(body) && err != nil {
		in.reject(body, err.Error())
	}
	if !validHeaderValue(c.UAC.HookToken.Reveal()) {
		in.reject(token, "a token of printable ASCII characters")
	}
}

func checkHeaders(in *inspection, c *Config) {
	const name = "REWATCH_HEADERS"
	if _, err := uac.ParseHeaders(c.UAC.Headers); in.ok(name) && err != nil {
		in.reject(name, "lines of \"Name: value\" that rewatch may add ("+err.Error()+")")
	}
}

// OwnHeaders are the header fields that are added to requests of rewatch's own.
func (c UACConfig) OwnHeaders() []uac.Header {
	headers, err := uac.ParseHeaders(c.Headers)
	if err != nil {
		panic(err) // checked by Load
	}
	return headers
}

// validHeaderValue says whether a secret can stand in a header field of HTTP.
func validHeaderValue(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}
