package config

import (
	"strings"
	"testing"

	"rewatch/cmd/rewatch/cli"
)

func TestRecovers(t *testing.T) {
	for _, c := range []struct {
		environ     cli.Environ
		alice, ring bool // sip:alice@ims.example, tel:+4930123
		want        string
	}{
		{cli.Environ{}, true, true, ""},
		{cli.Environ{"REWATCH_RECOVER": "sip:*@ims.example, tel:+43*"}, true, false, ""},
		{cli.Environ{"REWATCH_RECOVER": "sip:*@IMS.example,tel:*"}, true, true, ""},
		{cli.Environ{"REWATCH_RECOVER_SHARE": "0"}, false, false, ""},
		{cli.Environ{"REWATCH_RECOVER": "alice"}, false, false, `REWATCH_RECOVER="alice": want a pattern such as`},
		{cli.Environ{"REWATCH_NEVER_SIGN_OUT": "sip:*,"}, false, false, "REWATCH_NEVER_SIGN_OUT"},
		{cli.Environ{"REWATCH_RECOVER_SHARE": "101"}, false, false, "a percentage from 0 to 100"},
		{cli.Environ{"REWATCH_RECOVER_SHARE": "NaN"}, false, false, "a percentage from 0 to 100"},
	} {
		c.environ["REWATCH_SERVER"] = "sip:127.0.0.1:5070"
		cfg, err := Load(c.environ)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: %v", c.environ, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		recovers := cfg.Dialogs.Recovers()
		if recovers == nil {
			recovers = func(string) bool { return true }
		}
		if recovers("sip:alice@ims.example") != c.alice || recovers("tel:+4930123") != c.ring {
			t.Errorf("%v: not %v, %v", c.environ, c.alice, c.ring)
		}
	}
}
