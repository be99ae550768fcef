package config

import (
	"strconv"

	"rewatch/dialogs/pseudonym"
	"rewatch/dialogs/recovery/hook"
	"rewatch/proxy/uac"
)

func checkHook(in *inspection, c *Config) {
	const request, body, token = "REWATCH_DEREGISTER_HOOK", "REWATCH_DEREGISTER_HOOK_BODY", "REWATCH_DEREGISTER_HOOK_TOKEN" // #nosec G101 -- names
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

func checkUsers(in *inspection, c *Config) {
	const users, key = "REWATCH_LOG_USERS", "REWATCH_LOG_USERS_KEY"
	if !in.ok(users, key, key+"_FILE") {
		return
	}
	given := c.Process.UsersKey.Reveal()
	switch {
	case c.Process.LogUsers == LogUsersClear && given != "":
		in.reject(users, "pseudonym, because "+key+" is set")
	case c.Process.LogUsers == LogUsersPseudonym && len(given) < pseudonym.MinKey:
		in.reject(key, "a secret of "+strconv.Itoa(pseudonym.MinKey)+" characters or more, because "+users+"=pseudonym")
	}
}

// Pseudonyms makes the pseudonyms of users; nil where they stand in clear text.
func (c ProcessConfig) Pseudonyms() *pseudonym.Maker {
	if c.LogUsers != LogUsersPseudonym {
		return nil
	}
	return pseudonym.New(c.UsersKey.Reveal())
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
