package redelivery

import (
	"strings"
	"testing"
)

func TestFull(t *testing.T) {
	list := func(state string) string {
		return "--b\r\nContent-Type: application/rlmi+xml;charset=\"UTF-8\"\r\n\r\n" +
			`<list xmlns="urn:ietf:params:xml:ns:rlmi" uri="sip:l@x" version="1" fullState="` + state + `"/>` + "\r\n--b--\r\n"
	}
	named := func(id, state string) string { // behind the state of one that is listed
		part := "--b\r\nContent-Type: application/pidf+xml\r\nContent-ID: <p@x>\r\n\r\n<presence/>\r\n"
		return part + strings.Replace(list(state), "--b\r\n", "--b\r\nContent-ID: "+id+"\r\n", 1)
	}
	const related = `multipart/related;type="application/rlmi+xml";start="<a@x>";boundary="b"`
	for _, c := range []struct {
		name, kind, encoding, body string
		want                       bool
	}{
		{"PIDF", "application/pidf+xml", "", "<presence/>", true},
		{"PIDF with a parameter, in capitals", "Application/PIDF+XML ; charset=utf-8", "", "<presence/>", true},
		{"PIDF, compressed", "application/pidf+xml", "gzip", "\x1f\x8b", false},
		{"no body", "application/pidf+xml", "", "", false},
		{"message summary", "application/simple-message-summary", "", "Messages-Waiting: yes", true},
		{"watcherinfo, full", "application/watcherinfo+xml", "", `<?xml version="1.0"?><!-- x --><watcherinfo version="0" state="full">`, true},
		{"watcherinfo, partial", "application/watcherinfo+xml", "", `<watcherinfo version="1" state="partial">`, false},
		{"state of a child", "application/watcherinfo+xml", "", `<watcherinfo><x state="full"/>`, false},
		{"state of another namespace", "application/reginfo+xml", "", `<reginfo x:state="full"/>`, false},
		{"reginfo, single quotes", "application/reginfo+xml", "", `<r:reginfo state = 'full'/>`, true},
		{"dialog-info", "application/dialog-info+xml", "", `<dialog-info version="7" state="full"/>`, true},
		{"dialog-info, another charset", "application/dialog-info+xml", "", `<?xml version="1.0" encoding="ISO-8859-1"?><dialog-info state="full"/>`, true},
		{"conference, default", "application/conference-info+xml", "", `<conference-info entity="x"/>`, true},
		{"conference, partial", "application/conference-info+xml", "", `<conference-info state="partial"/>`, false},
		{"conference, garbage", "application/conference-info+xml", "", `conference`, false},
		{"partial PIDF, full", "application/pidf-diff+xml", "", `<p:pidf-full version="1"/>`, true},
		{"partial PIDF, diff", "application/pidf-diff+xml", "", `<p:pidf-diff version="2"/>`, false},
		{"list, full", related, "", list("true"), true},
		{"list, 1", related, "", list("1"), true},
		{"list, partial", related, "", list("false"), false},
		{"multipart that is no list", related, "", "--b\r\nContent-Type: application/pidf+xml\r\n\r\n<presence/>\r\n--b--\r\n", false},
		{"multipart without boundary", "multipart/related", "", list("true"), false},
		{"multipart cut off", related, "", "--b\r\nContent-Type", false},
		{"unknown", "application/x", "", `<x state="full"/>`, false},
		{"no type", "", "", "x", false},
		{"PIDF, parameter without value", "application/pidf+xml;charset", "", "<presence/>", true},
		{"PIDF, parameter twice", "application/pidf+xml;charset=a;charset=b", "", "<presence/>", true},
		{"PIDF, white space", "application / pidf+xml ;; charset=utf-8", "", "<presence/>", true},
		{"two types", "application/pidf+xml, text/plain", "", "<presence/>", false},
		{"winfo, malformed parameter", "application/watcherinfo+xml;x=a/b", "", `<watcherinfo state="full"/>`, true},
		{"winfo, compressed", "application/watcherinfo+xml", "deflate, gzip", `<watcherinfo state="full"/>`, false},
		{"winfo, in a comment", "application/watcherinfo+xml", "Identity", `<!-- <watcherinfo state="full"/> --><watcherinfo state="partial"/>`, false},
		{"winfo, byte order mark", "application/watcherinfo+xml", "", "\ufeff<?xml version='1.0'?><watcherinfo state='full'/>", true},
		{"winfo, DOCTYPE", "application/watcherinfo+xml", "", `<!DOCTYPE watcherinfo [<!ENTITY a "b">]><watcherinfo state="full"/>`, true},
		{"conference, deleted", "application/conference-info+xml", "", `<conference-info state="deleted"/>`, false},
		{"xcap-diff", "application/xcap-diff+xml", "", `<xcap-diff xcap-root="http://x/"/>`, false},
		{"list alone, full", "application/rlmi+xml", "", `<list fullState="true"/>`, true},
		{"list alone, partial", "application/rlmi+xml", "", `<list fullState="0"><list fullState="1"/></list>`, false},
		{"list, no quotes", "multipart/related;type=application/rlmi+xml;start=<a@x>;boundary=b", "", list("true"), true},
		{"list, no quotes, partial", "multipart/related;type=application/rlmi+xml;start=<a@x>;boundary=b", "", list("false"), false},
		{"list, folded, capitals", "Multipart/Related;\r\n Type=\"application/rlmi+xml\";\r\n Boundary=b", "", list("true"), true},
		{"list, not the first part", related, "", named("<a@x>", "true"), true},
		{"list, not the first part, partial", related, "", named("<a@x>", "false"), false},
		{"list, neither first nor named", related, "", named("<c@x>", "true"), false},
		{"list, first, but the root is another part", related, "", strings.Replace(list("true"), "--b--", "--b\r\nContent-ID: <a@x>\r\n\r\nx\r\n--b--", 1), false},
		{"list, mixed", "multipart/mixed;boundary=b", "", list("true"), false},
		{"broken XML", "application/reginfo+xml", "", `<reginfo state="full`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Full(c.kind, c.encoding, []byte(c.body)); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func FuzzFull(f *testing.F) {
	f.Add("application/reginfo+xml", "", []byte(`<reginfo state="full"/>`))
	f.Add(`multipart/related;boundary=b`, "", []byte("--b\r\nContent-Type: application/rlmi+xml\r\n\r\n<list fullState=\"true\"/>\r\n--b--"))
	f.Fuzz(func(_ *testing.T, kind, encoding string, body []byte) { Full(kind, encoding, body) })
}
