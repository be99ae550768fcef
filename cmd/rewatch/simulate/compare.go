package simulate

import (
	"context"
	"fmt"
	"io"
	"time"

	"rewatch/policy/simulate"
)

// whileKept is the value of a -redeliver without a value: the REWATCH_REDELIVER that the README
// recommends.
const whileKept = "10m"

// redeliverFlag is the flag -redeliver, which needs no value.
type redeliverFlag struct{ ruleFlag }

// IsBoolFlag tells package flag that a value is not needed.
func (redeliverFlag) IsBoolFlag() bool { return true }

func (f redeliverFlag) Set(text string) error {
	if text == "true" {
		text = whileKept
	}
	return f.ruleFlag.Set(text)
}

// printComparison prints each scenario without and with redelivery, under the same load and the same
// trouble.
func (o *options) printComparison(ctx context.Context, w io.Writer) error {
	rows := [][]string{{
		"scenario", "REWATCH_REDELIVER", "users without state", "subscriptions lost", "requests after the end of the trouble", "peak/s", "MESSAGEs", "delivered",
		"last user current after",
	}}
	for _, s := range o.scenarios {
		for _, with := range []bool{false, true} {
			cfg, err := o.configFor(s)
			if err != nil {
				return err
			}
			kept := o.rules["REDELIVER"]
			if !with {
				cfg.NewPost, kept = nil, "-"
			}
			res, err := simulate.Run(ctx, cfg)
			if err != nil {
				return fmt.Errorf("simulate %s: %w", s.Name, err)
			}
			rows = append(rows, comparisonOf(s.Name, kept, res))
		}
	}
	if o.markdown {
		_, err := io.WriteString(w, markdownTable(rows))
		return err
	}
	_, err := io.WriteString(w, textTable(rows)+"\nRequests: MESSAGEs, SUBSCRIBEs and their first NOTIFYs, deliveries; retransmissions do not count.\n"+
		"Current: no subscription is lost, and no NOTIFY kept.\n")
	return err
}

func comparisonOf(scenario, kept string, r *simulate.Result) []string {
	carried, peak, last, ok := r.After(troubleEnds(r.Config.Trouble))
	current := readableTime(last)
	if !ok {
		current = "not at the end"
	}
	return []string{
		scenario, kept, thousands(r.Broken), thousands(r.Lost), thousands(carried), thousands(peak), thousands(r.Messages), thousands(r.Delivered), current,
	}
}

// troubleEnds is when all hops work again.
func troubleEnds(t simulate.Trouble) time.Duration {
	return t.Start + max(t.Outage, t.HopDown, t.FlapFor)
}
