package main

import "reflect"

// variable is one row of the table that the tags of Config make.
type variable struct {
	Group   string
	Name    string
	Default string // as the library uses it; empty: none
	Shown   string // the default as it is shown to people
	Doc     string
	Secret  bool
}

// variables lists every variable in the order of Config.
func variables() []variable {
	var all []variable
	for group := range reflect.TypeFor[Config]().Fields() {
		for field := range group.Type.Fields() {
			if field.Tag.Get("env") != "-" { // worked out, not read
				all = append(all, variableOf(group, field))
			}
		}
	}
	return all
}

func variableOf(group, field reflect.StructField) variable {
	v := variable{
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
