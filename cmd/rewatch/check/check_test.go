package check

import (
	"context"
	"net"
	"strings"
	"testing"

	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
)

// nameServer is a name server of its own.
type nameServer map[string]string

func (n nameServer) LookupHost(_ context.Context, host string) ([]string, error) {
	if a, ok := n[host]; ok {
		return []string{a}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (n nameServer) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if target, ok := n["_"+service+"._"+proto+"."+name]; ok {
		return "", []*net.SRV{{Target: target + ".", Port: 5060}}, nil
	}
	return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func TestInspect(t *testing.T) {
	cfg, err := config.Load(cli.Environ{
		"REWATCH_SERVER":        "sip:presence:5070",
		"REWATCH_CORE":          "sip:ims.example;transport=tcp,sip:gone.example:5060",
		"REWATCH_LISTEN":        "udp://192.0.2.77:5060",
		"REWATCH_ADVERTISE":     "rewatch.example",
		"REWATCH_ALARM_WEBHOOK": "http://hook.example/x",
		"REWATCH_HEP":           "homer.example:9060",
		"REWATCH_ALARM_SNMP":    "rewatch.example:162,nms.example:162",
	})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err = writeReport(&out, inspect(t.Context(), cfg, nameServer{
		"presence":              "127.0.0.9",
		"_sip._tcp.ims.example": "pcscf1.ims.example",
		"rewatch.example":       "10.0.0.1",
	}))
	if err == nil {
		t.Error("troubles are no error")
	}
	for _, want := range []string{
		"ok     REWATCH_SERVER         sip:presence:5070 is 127.0.0.9\n",
		"sip:ims.example;transport=tcp is pcscf1.ims.example (SRV _sip._tcp)\n",
		"WRONG  REWATCH_CORE           sip:gone.example:5060: the name gone.example does not exist\n",
		"udp://192.0.2.77:5060 is no address of this machine\n",
		"rewatch.example is 10.0.0.1\n",
		"WRONG  REWATCH_ALARM_WEBHOOK  http://hook.example/******: the name hook.example does not exist\n",
		"ok     REWATCH_ALARM_SNMP     rewatch.example:162 is 10.0.0.1\n",
		"WRONG  REWATCH_ALARM_SNMP     nms.example:162: the name nms.example does not exist\n",
		"WRONG  REWATCH_HEP            homer.example:9060: the name homer.example does not exist\n",
		"5 things are wrong.\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if err := FindServer(t.Context(), cfg, nameServer{}); err == nil || !strings.Contains(err.Error(), "REWATCH_SERVER: sip:presence:5070: the name presence does not exist") {
		t.Errorf("FindServer: %v", err)
	}
}
