package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// setup is what a file says is to run: one table for each array. The keys of a table are the options of the verb that starts it, with _ for -, and its
// name and members.
type setup struct {
	path    string
	entries []*entry // in the order to start them in: who is a member of another comes first
}

// entry is one table of a setup.
type entry struct {
	name    string
	members []string // as they are to be given; array:NAME is the export of another entry
	uses    []string // the names of those
	call    *call    // of the verb that starts it, without its members
}

// kindOf is a kind of table: the verb that starts what it is about, and what its list of devices is called.
type kindOf struct {
	table, devices string
	verb           verb
}

func setupKinds() []kindOf {
	return []kindOf{{"array", "members", assembleVerb()}}
}

// notInFiles are options that somebody is to ask for each time.
var notInFiles = []string{"force"}

// usesPrefix is in front of the name of another entry, in a list of members.
const usesPrefix = "array:"

// readSetup reads the file and checks everything that can be checked without starting anything. Paths in it are relative to the file's folder.
func readSetup(c *call, path string) (*setup, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, cause(err))
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	s := &setup{path: path}
	kinds := setupKinds()
	tables, err := decodeSetup(text, kinds)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	for i := range kinds {
		list := tables.FieldByName(exported(kinds[i].table))
		for n := range list.Len() {
			e, err := newEntry(c, &kinds[i], list.Index(n), dir)
			if err != nil {
				// Not %w: what is wrong in a file is no wrong use of the command line, whoever found it.
				return nil, fmt.Errorf("%s: %s %d%s: %v", path, kinds[i].table, n+1, calledBy(list.Index(n)), err)
			}
			s.entries = append(s.entries, e)
		}
	}
	if len(s.entries) == 0 {
		return nil, fmt.Errorf("%s: says of no array to run: each has a table [[array]] with name and members", path)
	}
	if s.entries, err = inOrder(s.entries); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// decodeSetup parses the text into a struct with a slice of structs for each kind, whose fields are the verb's options.
func decodeSetup(text []byte, kinds []kindOf) (reflect.Value, error) {
	var fields []reflect.StructField
	for _, k := range kinds {
		fields = append(fields, field(k.table, reflect.SliceOf(k.shape())))
	}
	into := reflect.New(reflect.StructOf(fields))
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(into.Interface())
	var unknown *toml.StrictMissingError
	var bad *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		e := unknown.Errors[0]
		line, _ := e.Position()
		return into, fmt.Errorf("%d: unknown key %s%s", line, strings.Join(e.Key(), "."), suggestion(e.Key(), kinds))
	case errors.As(err, &bad):
		line, column := bad.Position()
		if key := bad.Key(); len(key) > 1 && strings.Contains(bad.Error(), "cannot decode") {
			return into, fmt.Errorf("%d:%d: %s %s", line, column, strings.Join(key, "."), wants(key, kinds))
		}
		return into, fmt.Errorf("%d:%d: %s", line, column, strings.TrimPrefix(bad.Error(), "toml: "))
	case err != nil:
		return into, fmt.Errorf(" %w", err)
	}
	return into.Elem(), nil
}

// shape is a struct with a field for each key that a table of this kind may have.
func (k *kindOf) shape() reflect.Type {
	fields := []reflect.StructField{field("name", reflect.TypeFor[string]()), field(k.devices, reflect.TypeFor[[]string]())}
	for _, f := range k.options() {
		t := reflect.TypeFor[string]()
		switch {
		case f.value == "":
			t = reflect.TypeFor[bool]()
		case f.list:
			t = reflect.TypeFor[[]string]()
		}
		fields = append(fields, field(keyOf(f.name), t))
	}
	return reflect.StructOf(fields)
}

func (k *kindOf) options() []flag {
	return slices.DeleteFunc(slices.Clone(k.verb.flags), func(f flag) bool { return f.quiet || slices.Contains(notInFiles, f.name) })
}

func keyOf(option string) string { return strings.ReplaceAll(option, "-", "_") }

func exported(key string) string { return "K_" + key }

func field(key string, t reflect.Type) reflect.StructField {
	return reflect.StructField{Name: exported(key), Type: t, Tag: reflect.StructTag(`toml:"` + key + `"`)}
}

// wants says what a key's value is to be.
func wants(key []string, kinds []kindOf) string {
	for i := range kinds {
		last := key[len(key)-1]
		if key[0] != kinds[i].table || last == "name" {
			continue
		}
		if last == kinds[i].devices {
			return `wants a list of words, such as ["a.img", "b.img"]`
		}
		for _, f := range kinds[i].options() {
			switch {
			case keyOf(f.name) != last:
			case f.value == "":
				return "wants true or false"
			case f.list:
				return `wants a list of words, such as ["` + f.value + `"]`
			}
		}
	}
	return `wants a word in quotes, such as "64K"`
}

// suggestion says what an unknown key may have been meant to be.
func suggestion(key []string, kinds []kindOf) string {
	var words []string
	for i := range kinds {
		if len(key) == 1 {
			words = append(words, kinds[i].table)
		} else if key[0] == kinds[i].table {
			words = append(words, "name", kinds[i].devices)
			for _, f := range kinds[i].options() {
				words = append(words, keyOf(f.name))
			}
		}
	}
	last := key[len(key)-1]
	if slices.Contains(notInFiles, last) {
		return ": that is to be asked for each time, on the command line"
	}
	if near := nearest(last, words); near != "" {
		return ": did you mean " + near + "?"
	}
	return ": there are " + strings.Join(words, ", ")
}

// newEntry makes a table the call that somebody who typed it would have made, and checks it as far as that goes without starting anything.
func newEntry(c *call, k *kindOf, table reflect.Value, dir string) (*entry, error) {
	get := func(key string) reflect.Value { return table.FieldByName(exported(key)) }
	e := &entry{name: get("name").String()}
	e.call = &call{std: c.std, ctx: c.ctx, verb: &k.verb, on: map[string]bool{}, value: map[string][]string{}}
	if e.name == "" {
		return nil, errors.New("has no name")
	}
	for _, m := range get(k.devices).Interface().([]string) {
		if other, ok := strings.CutPrefix(m, usesPrefix); ok {
			e.uses = append(e.uses, other)
		} else {
			m = fromFile(dir, m)
		}
		e.members = append(e.members, m)
	}
	if len(e.members) == 0 {
		return nil, fmt.Errorf("%s has no %s", e.name, k.devices)
	}
	for _, f := range k.options() {
		v := get(keyOf(f.name))
		switch {
		case v.IsZero() && !f.on:
		case f.value == "":
			e.call.on[f.name] = v.Bool()
		case f.list:
			for _, s := range v.Interface().([]string) {
				e.call.value[f.name] = append(e.call.value[f.name], fromFileOption(dir, f.name, s))
			}
		default:
			e.call.value[f.name] = []string{fromFileOption(dir, f.name, v.String())}
		}
	}
	devices := slices.DeleteFunc(slices.Clone(e.members), func(m string) bool { return strings.HasPrefix(m, usesPrefix) })
	if err := e.call.once(devices); err != nil {
		return nil, err
	}
	_, err := e.call.config(e.name, devices)
	return e, err
}

// calledBy is the name that a table has, to be told what is wrong with it.
func calledBy(table reflect.Value) string {
	if name := table.FieldByName(exported("name")).String(); name != "" {
		return " (" + name + ")"
	}
	return ""
}

// fromFile is a member's path as the file means it: relative to the file's folder.
func fromFile(dir, path string) string {
	if head, rest, ok := strings.Cut(path, "socket="); ok && strings.Contains(head, "://") && !strings.HasPrefix(rest, "/") {
		return head + "socket=" + filepath.Join(dir, rest)
	}
	if path == missingWord || filepath.IsAbs(path) || strings.Contains(path, "://") {
		return path
	}
	return filepath.Join(dir, path)
}

// fromFileOption does the same for the options that have a path.
func fromFileOption(dir, name, value string) string {
	switch name {
	case "overlay":
		return fromFile(dir, value)
	case "nbd":
		if path, ok := strings.CutPrefix(value, "unix:"); ok {
			return "unix:" + fromFile(dir, path)
		}
	case "on-event":
		if strings.ContainsRune(value, filepath.Separator) {
			return fromFile(dir, value)
		}
	}
	if strings.HasPrefix(name, "tls-") && strings.ContainsRune(value, filepath.Separator) {
		return fromFile(dir, value)
	}
	return value
}

// inOrder puts who is a member of another before it, and leaves the order of the file otherwise.
func inOrder(all []*entry) (list []*entry, err error) {
	byName := map[string]*entry{}
	for _, e := range all {
		if byName[e.name] != nil {
			return nil, fmt.Errorf("two are called %s", e.name)
		}
		byName[e.name] = e
	}
	state := map[*entry]int{} // 1 = on the way, 2 = in the list
	var visit func(e *entry) error
	visit = func(e *entry) error {
		switch state[e] {
		case 1:
			return fmt.Errorf("%s is a member of itself, through %s", e.name, strings.Join(e.uses, " or "))
		case 2:
			return nil
		}
		state[e] = 1
		for _, name := range e.uses {
			if byName[name] == nil {
				return fmt.Errorf("%s: %s%s: there is no such table in the file", e.name, usesPrefix, name)
			}
			if err := visit(byName[name]); err != nil {
				return err
			}
		}
		state[e] = 2
		list = append(list, e)
		return nil
	}
	for _, e := range all {
		if err := visit(e); err != nil {
			return nil, err
		}
	}
	return list, nil
}
