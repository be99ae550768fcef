package sidecar

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/cmd/rewatch/config"
	"rewatch/cmd/rewatch/webconfig"
	"rewatch/policy/alarm"
)

const (
	// certificateNotice is how long before the end of a certificate the alarm is raised. Automatic
	// renewal happens a month before the end, so by then it has failed.
	certificateNotice = 14 * 24 * time.Hour
	// certificateLook is the time between two looks at the files.
	certificateLook = time.Hour
)

var descExpiry = prometheus.NewDesc("rewatch_certificate_expiry_seconds",
	"Time until the certificate of a file ends, less than 0 once it has.", []string{"file"}, nil)

// certificates watches when certificates end. Each look reads the files, because a renewed certificate
// replaces the old one in its file.
type certificates struct {
	chains []chain
	alarms *alarm.Manager
}

// chain is the name of a file, and a function that reads the certificate in it with those above it (PEM).
type chain struct {
	file string
	read func() ([]byte, error)
}

// chains gives the certificates that rewatch shows to others: on the core side (sip), and on the admin
// port. If both have one file, it is in the list once.
func chains(sip string, admin config.AdminConfig) []chain {
	var all []chain
	if sip != "" {
		all = append(all, chain{sip, func() ([]byte, error) { return os.ReadFile(sip) }}) //nolint:gosec // The operator names the file.
	}
	if file := admin.CertificateFile(); file != "" && file != sip {
		all = append(all, chain{file, func() ([]byte, error) { return webconfig.Chain(admin.Web) }})
	}
	return all
}

// Describe is part of prometheus.Collector.
func (c certificates) Describe(to chan<- *prometheus.Desc) { to <- descExpiry }

// Collect is part of prometheus.Collector.
func (c certificates) Collect(to chan<- prometheus.Metric) {
	for _, chain := range c.chains {
		if end, err := chain.notAfter(); err == nil {
			to <- prometheus.MustNewConstMetric(descExpiry, prometheus.GaugeValue, time.Until(end).Seconds(), chain.file)
		}
	}
}

// watch looks at the files until ctx ends.
func (c certificates) watch(ctx context.Context) {
	ticks := time.NewTicker(certificateLook)
	defer ticks.Stop()
	for {
		c.look(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// look raises the alarm for each certificate that ends soon, and clears it for each that was renewed. A
// file that cannot be read changes nothing, because the old certificate stays in use.
func (c certificates) look(now time.Time) {
	for _, chain := range c.chains {
		end, err := chain.notAfter()
		text := "The certificate ends on %s."
		switch {
		case err != nil:
			continue
		case end.Sub(now) > certificateNotice:
			c.alarms.Clear(alarm.CertificateExpiry, chain.file, now)
			continue
		case !end.After(now):
			text = "The certificate has ended on %s; peers that verify it refuse connections."
		}
		c.alarms.Raise(alarm.Of(alarm.CertificateExpiry, chain.file, fmt.Sprintf(text, end.UTC().Format(time.RFC3339)), now))
	}
}

// notAfter is when the first certificate of the chain to end does so.
func (c chain) notAfter() (time.Time, error) {
	text, err := c.read()
	if err != nil {
		return time.Time{}, err
	}
	var end time.Time
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return time.Time{}, err
		}
		if end.IsZero() || cert.NotAfter.Before(end) {
			end = cert.NotAfter
		}
	}
	if end.IsZero() {
		return end, errors.New("no certificate in it")
	}
	return end, nil
}
