package sidecar

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/config"
	"rewatch/policy/alarm"
)

// writeChain writes certificates that end then.
func writeChain(t *testing.T, file string, ends ...time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	for _, end := range ends {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: end.AddDate(0, 0, -90), NotAfter: end}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCertificateExpiry: the alarm comes two weeks before the first of the chain ends,
// stays when the file is broken, and goes with the renewal; the metric tells the time.
func TestCertificateExpiry(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cert.pem")
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		day := func(n int) time.Time { return start.AddDate(0, 0, n) }
		reg := prometheus.NewRegistry()
		alarms := alarm.New(alarm.Config{Log: zerolog.Nop()})
		c := certificates{chains: chains(file, config.AdminConfig{}), alarms: alarms}
		reg.MustRegister(c)
		writeChain(t, file, day(90), day(30))
		go c.watch(t.Context())

		for _, step := range []struct {
			what   string
			at     time.Time
			before func()
			active int
		}{
			{"a month is left", day(0), nil, 0},
			{"two weeks and a day are left", day(15), nil, 0},
			{"less than two weeks are left", day(17), nil, 1},
			{"the file is broken", day(18), func() { _ = os.WriteFile(file, []byte("x"), 0o600) }, 1},
			{"it has ended", day(31), func() { writeChain(t, file, day(30)) }, 1},
			{"it was renewed", day(32), func() { writeChain(t, file, day(120)) }, 0},
		} {
			if step.before != nil {
				step.before()
			}
			time.Sleep(time.Until(step.at))
			synctest.Wait()
			if got := alarms.Active(); len(got) != step.active {
				t.Errorf("%s: %d alarms are active, want %d: %+v", step.what, len(got), step.active, got)
			}
		}

		families, err := reg.Gather()
		if err != nil || len(families) != 1 {
			t.Fatalf("%v, %v", families, err)
		}
		if left := families[0].Metric[0].Gauge.GetValue(); left != (88 * 24 * time.Hour).Seconds() {
			t.Errorf("%v seconds are left", left)
		}
	})
}

// TestCertificatesThatAreWatched: that of the core side and that of the admin port, in a
// file of its own or written in the web configuration, each once.
func TestCertificatesThatAreWatched(t *testing.T) {
	dir := t.TempDir()
	sip, admin, web := filepath.Join(dir, "sip.pem"), filepath.Join(dir, "admin.pem"), filepath.Join(dir, "web.yml")
	writeChain(t, sip, time.Now().AddDate(0, 0, 40))
	writeChain(t, admin, time.Now().AddDate(0, 0, 5))
	text, err := os.ReadFile(admin)
	if err != nil {
		t.Fatal(err)
	}
	inline := "cert: |\n    " + strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n    ")
	for name, c := range map[string]struct {
		sip, admin string
		want       map[string]int // days that are left, by file
	}{
		"both":             {sip, "cert_file: admin.pem", map[string]int{sip: 39, admin: 4}},
		"one for both":     {sip, "cert_file: sip.pem", map[string]int{sip: 39}},
		"the admin's only": {"", inline, map[string]int{web: 4}},
		"none":             {"", "", map[string]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			settings := config.AdminConfig{}
			if c.admin != "" {
				settings.Web = web
				if err := os.WriteFile(web, []byte("tls_server_config:\n  key_file: key.pem\n  "+c.admin+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			alarms := alarm.New(alarm.Config{Log: zerolog.Nop()})
			watched := certificates{chains: chains(c.sip, settings), alarms: alarms}
			reg := prometheus.NewRegistry()
			reg.MustRegister(watched)
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int{}
			for _, family := range families {
				for _, m := range family.Metric {
					got[m.Label[0].GetValue()] = int(m.Gauge.GetValue() / 24 / 3600)
				}
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("days that are left: %v, want %v", got, c.want)
			}
			watched.look(time.Now())
			for _, a := range alarms.Active() {
				if c.want[a.Object] != 4 {
					t.Errorf("alarm of %s", a.Object)
				}
			}
			if soon := slices.Contains(slices.Collect(maps.Values(c.want)), 4); soon != (len(alarms.Active()) == 1) {
				t.Errorf("%d alarms", len(alarms.Active()))
			}
		})
	}
}
