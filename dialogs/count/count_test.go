package count

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// series are the values of a metric, by the one label that it has.
func series(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			values[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return values
}

// Two that share a registry count into one counter, which has every action from the start.
func TestDryRun(t *testing.T) {
	reg := prometheus.NewRegistry()
	one, two := NewDryRun(reg), NewDryRun(reg)
	if all := series(t, reg); len(all) != 9 || all[DryBan] != 0 {
		t.Errorf("%v", all)
	}
	one.Did(DryMessage)
	two.Did(DryMessage)
	if all := series(t, reg); all[DryMessage] != 2 {
		t.Errorf("%v", all)
	}
	NewDryRun(nil).Did(DryBan)
	defer func() {
		if recover() == nil {
			t.Error("another metric of its name is taken for it")
		}
	}()
	taken := prometheus.NewRegistry()
	taken.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "rewatch_dry_run_total", Help: "Something else."}))
	NewDryRun(taken)
}

func TestForgotten(t *testing.T) {
	reg := prometheus.NewRegistry()
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rewatch_forgotten_total"}, []string{"what"})
	reg.MustRegister(v)
	for _, c := range NewForgotten(v) {
		c.Inc()
	}
	all := series(t, reg)
	for kind := range ForgottenKinds {
		if all[kind.String()] != 1 {
			t.Errorf("%s: %v", kind, all)
		}
	}
	NewForgotten(nil)[ForgottenHead].Inc()
}
