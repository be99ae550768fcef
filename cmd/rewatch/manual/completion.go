package manual

import (
	"fmt"
	"strings"
)

// Shells lists the shells that Completion knows.
var Shells = []string{"bash", "zsh", "fish"}

// Completion is a script that completes the commands and their flags. It is empty for
// a shell that is not known.
func Completion(shell string, commands []Command) string {
	switch shell {
	case "bash":
		return bash(commands)
	case "zsh":
		return zsh(commands)
	case "fish":
		return fish(commands)
	default:
		return ""
	}
}

func bash(commands []Command) string {
	var names []string
	var cases strings.Builder
	for _, c := range commands {
		names = append(names, c.Name)
		if len(c.Flags) > 0 {
			fmt.Fprintf(&cases, "\t%s) words=%q ;;\n", c.Name, strings.Join(c.Flags, " "))
		}
	}
	return fmt.Sprintf(`# bash completion for rewatch
_rewatch() {
	local words=""
	if [ "$COMP_CWORD" -eq 1 ]; then
		words=%q
	else
		case "${COMP_WORDS[1]}" in
%s		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}")
}
complete -F _rewatch rewatch
`, strings.Join(names, " "), indented(cases.String()))
}

func zsh(commands []Command) string {
	var names, cases strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&names, "\t\t%s\n", single(c.Name+":"+strings.ReplaceAll(c.Summary, ":", `\:`)))
		if len(c.Flags) > 0 {
			fmt.Fprintf(&cases, "\t%s) compadd -- %s ;;\n", c.Name, strings.Join(c.Flags, " "))
		}
	}
	return fmt.Sprintf(`#compdef rewatch
_rewatch() {
	local -a commands=(
%s	)
	if (( CURRENT == 2 )); then
		_describe command commands
		return
	fi
	case $words[2] in
%s	esac
}
_rewatch "$@"
`, names.String(), cases.String())
}

func fish(commands []Command) string {
	var b strings.Builder
	b.WriteString("# fish completion for rewatch\ncomplete -c rewatch -f\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "complete -c rewatch -n __fish_use_subcommand -a %s -d %s\n", c.Name, single(c.Summary))
		for _, flag := range c.Flags {
			fmt.Fprintf(&b, "complete -c rewatch -n '__fish_seen_subcommand_from %s' -a %s\n", c.Name, single(flag))
		}
	}
	return b.String()
}

func indented(lines string) string {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		b.WriteString("\t" + line)
	}
	return b.String()
}

// single quotes for a shell.
func single(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
