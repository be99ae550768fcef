package simulate

import (
	"flag"
	"slices"
	"strings"

	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
	"rewatch/dialogs/redelivery"
	"rewatch/policy/simulate"
)

// simulatedRules are the variables that the simulation uses, by their names without the prefix.
// Names, defaults and meanings come from the tags of Config, so that they are those of the product.
var simulatedRules = []string{
	"NOTIFY_TIMEOUT", "THRESHOLD", "COUNT", "ON_THRESHOLD", "BAN", "RESUBSCRIBE_TIMEOUT", "COALESCE",
	"PATIENCE", "STRIKE_TTL", "REDELIVER", "MAX_REDELIVER", "SIGNAL", "MESSAGE_RATE", "DEREGISTER_RATE", "DEREGISTER_CAP", "OUTAGE_RATIO", "OUTAGE_WINDOW",
}

// ruleTexts are the values of these variables, as they were given.
type ruleTexts map[string]string

// flags defines a flag for each variable, such as -message-rate for REWATCH_MESSAGE_RATE.
func (r *ruleTexts) flags(fs *flag.FlagSet) {
	*r = make(ruleTexts)
	for _, v := range ruleVariables() {
		name := strings.TrimPrefix(v.Name, "REWATCH_")
		var value flag.Value = ruleFlag{*r, name, v.Default}
		if name == "REDELIVER" {
			value = redeliverFlag{ruleFlag{*r, name, v.Default}}
		}
		fs.Var(value, strings.ReplaceAll(strings.ToLower(name), "_", "-"), strings.ReplaceAll(v.Doc, "'", ""))
	}
}

func ruleVariables() []config.Variable {
	var chosen []config.Variable
	for _, v := range config.Variables() {
		if slices.Contains(simulatedRules, strings.TrimPrefix(v.Name, "REWATCH_")) {
			chosen = append(chosen, v)
		}
	}
	return chosen
}

// apply checks the values as config.Load checks those of the variables, and puts them into c.
func (r ruleTexts) apply(c *simulate.Config) error {
	environ := cli.Environ{"REWATCH_SERVER": "sip:192.0.2.1;transport=udp"}
	for _, v := range config.Variables() {
		if text, ok := r[strings.TrimPrefix(v.Name, "REWATCH_")]; ok {
			environ[v.Name] = text
		}
	}
	cfg, err := config.Load(environ)
	if err != nil {
		return err
	}
	c.Rules = cfg.Policy.Rules()
	c.SignalNotify = cfg.Dialogs.Signal.Notify
	c.NotifyTimeout = cfg.Proxy.NotifyTimeout
	c.MessageRate, c.DeregisterRate = cfg.UAC.MessageRate, cfg.UAC.DeregisterRate
	if d := cfg.Dialogs; d.Redeliver > 0 {
		c.NewPost = newPost(redelivery.Config{For: d.Redeliver, MaxBytes: int(d.MaxRedeliver)})
	}
	c.DeregisterCap = cfg.UAC.DeregisterCap
	ratio := cfg.Policy.OutageRatio
	c.Outage.Off, c.Outage.Ratio, c.Outage.Window = ratio >= 1, ratio, cfg.Policy.OutageWindow
	return nil
}

// ruleFlag is the flag of one variable. Its value is checked by apply, together with all others.
type ruleFlag struct {
	texts      ruleTexts
	name, text string
}

func (f ruleFlag) String() string { return f.text }

func (f ruleFlag) Set(text string) error {
	f.texts[f.name] = text
	return nil
}
