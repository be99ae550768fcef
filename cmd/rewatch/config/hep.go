package config

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/proxy/capture"
	"rewatch/proxy/hep"
)

// HEPConfig configures packages proxy/hep and proxy/capture. Without a collector nothing is
// mirrored, and without a size nothing is kept.
type HEPConfig struct {
	Collector Receiver `env:"HEP" doc:"host:port of a Homer collector, to which every SIP message is mirrored (HEP3 over UDP), as it is inside TLS"`
	ID        int      `env:"HEP_ID" envDefault:"2001" doc:"capture ID by which the collector knows this rewatch"`
	Capture   Bytes    `env:"CAPTURE" envDefault:"0" doc:"memory for the last SIP messages of watchers, with their bodies, so that a recovery can be downloaded as pcap; 0: none are kept"`
}

// leastCapture is the smallest memory that has room for a recovery; more than mostCapture is
// taken for a mistake.
const (
	leastCapture = 1 << 20
	mostCapture  = 16 << 30
)

func checkHEP(in *inspection, c *Config) {
	if c.HEP.ID < 0 || c.HEP.ID > math.MaxUint32 {
		in.reject("REWATCH_HEP_ID", "a whole number from 0 to 4294967295")
	}
	if c.HEP.Capture != 0 && (c.HEP.Capture < leastCapture || c.HEP.Capture > mostCapture) {
		in.reject("REWATCH_CAPTURE", "0, or a size from 1MiB to 16GiB")
	}
}

// Recorder returns what keeps the messages, or nil.
func (c HEPConfig) Recorder() *capture.Recorder {
	if c.Capture == 0 {
		return nil
	}
	return capture.New(int(c.Capture))
}

// Sender returns what mirrors the messages, or nil.
func (c HEPConfig) Sender(dropped *prometheus.CounterVec, log zerolog.Logger) *hep.Sender {
	if c.Collector.Host == "" {
		return nil
	}
	return hep.New(hep.Config{
		Collector: c.Collector.String(), Capture: uint32(c.ID), Dropped: dropped.WithLabelValues("hep"), Log: log,
	})
}
