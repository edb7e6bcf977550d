package main

import (
	"fmt"
	"io"
	"strings"
)

const helpHead = `graid: software RAID in user space, in the on-disk format of Linux md.

  graid VERB [options] ARGUMENTS        options may stand before or after the arguments

`

const helpTail = `
  member    a regular file, a block device, or the export of an NBD server: nbd://HOST:PORT/EXPORT, nbd+unix:///EXPORT?socket=PATH, and nbds for
            TLS; "missing" where create is to leave a slot empty
  NAME      the array's short name while it runs, such as md0
  SIZE      4096, 64K, 1M, 2G: binary multiples

Exit status: 0 done, 1 failed, 2 wrong use, 3 done but something needs attention.
"graid help VERB" explains one verb; "graid demo" shows a tour on throw-away files.
`

func help(w io.Writer, all []verb, args []string) error {
	if len(args) == 0 {
		printHelp(w, all)
		return nil
	}
	for i := range all {
		if all[i].name == args[0] {
			printVerb(w, &all[i])
			return nil
		}
	}
	return unknownVerb(all, args[0])
}

func printHelp(w io.Writer, all []verb) {
	fmt.Fprint(w, helpHead)
	for _, v := range all {
		fmt.Fprintf(w, "  %-15s  %s\n", v.name, v.short)
	}
	fmt.Fprint(w, helpTail)
}

func printVerb(w io.Writer, v *verb) {
	line := "graid " + v.name
	if len(v.flags) > 0 {
		line += " [options]"
	}
	if v.args != "" {
		line += " " + v.args
	}
	fmt.Fprintf(w, "%s\n\n%s\n", line, wrap(v.long, width, ""))
	if len(v.flags) > 0 {
		fmt.Fprintln(w)
	}
	for _, f := range v.flags {
		if f.quiet {
			continue
		}
		name := "    --" + f.name
		if f.short != "" {
			name = "-" + f.short + ", --" + f.name
		}
		if f.value != "" {
			name += " " + f.value
		}
		if f.on {
			name += "=false"
		}
		const column = 28
		gap := strings.Repeat(" ", column)
		text := wrap(f.usage, width-column, gap)
		if len(name)+4 > column {
			fmt.Fprintf(w, "  %s\n%s%s\n", name, gap, text)
			continue
		}
		fmt.Fprintf(w, "  %-*s%s\n", column-2, name, text)
	}
	fmt.Fprint(w, v.notes)
}

// wrap breaks text into lines of at most columns, the second and later ones indented.
func wrap(text string, columns int, indent string) string {
	var b strings.Builder
	used := 0
	for _, word := range strings.Fields(text) {
		switch {
		case used == 0:
		case used+1+len(word) > columns:
			b.WriteString("\n" + indent)
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += len(word)
	}
	return b.String()
}

func versionVerb() verb {
	return verb{
		name:  "version",
		short: "print the version",
		long:  "Prints the version of graid.",
		run: func(c *call) error {
			if err := c.noArgs(); err != nil {
				return err
			}
			_, err := fmt.Fprintln(c.out, "graid "+version)
			return err
		},
	}
}
