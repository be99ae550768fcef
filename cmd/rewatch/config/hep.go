package config

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rewatch/proxy/hep"
)

// HEPConfig steers package proxy/hep. Without a collector nothing is mirrored.
type HEPConfig struct {
	Collector Receiver `env:"HEP" doc:"host:port of a Homer collector, to which every SIP message is mirrored (HEP3 over UDP), as it is inside TLS"`
	ID        int      `env:"HEP_ID" envDefault:"2001" doc:"capture ID by which the collector knows this rewatch"`
}

func checkHEP(in *inspection, c *Config) {
	if c.HEP.ID < 0 || c.HEP.ID > math.MaxUint32 {
		in.reject("REWATCH_HEP_ID", "a whole number from 0 to 4294967295")
	}
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
