package config

import "reflect"

// Variable is one row of the table that the tags of Config make.
type Variable struct {
	Group   string
	Name    string
	Default string // as the library uses it; empty: none
	Shown   string // the default as it is shown to people
	Doc     string
	Secret  bool
}

// Variables lists every variable in the order of Config.
func Variables() []Variable {
	var all []Variable
	for group := range reflect.TypeFor[Config]().Fields() {
		for field := range group.Type.Fields() {
			if field.Tag.Get("env") != "-" { // worked out, not read
				all = append(all, variableOf(group, field))
			}
		}
	}
	return all
}

func variableOf(group, field reflect.StructField) Variable {
	v := Variable{
		Group:   group.Tag.Get("doc"),
		Name:    group.Tag.Get("envPrefix") + field.Tag.Get("env"),
		Default: field.Tag.Get("envDefault"),
		Shown:   field.Tag.Get("show"),
		Doc:     field.Tag.Get("doc"),
		Secret:  field.Type == reflect.TypeFor[Secret](),
	}
	if v.Shown == "" {
		v.Shown = v.Default
	}
	return v
}
