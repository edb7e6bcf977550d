package nbd

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
)

// DefaultPort is where NBD servers listen unless told otherwise.
const DefaultPort = "10809"

// URI names an export, as the NBD URI specification writes it: nbd://host:port/export, nbd+unix:///export?socket=/path, and nbds for TLS.
type URI struct {
	TLS     bool
	Host    string // of a TCP server; "" = a unix socket
	Port    string
	Socket  string // path of the unix socket
	Export  string // "" is the server's default export
	Certs   string // folder with ca-cert.pem, client-cert.pem, client-key.pem; "" = Options.TLS says
	Name    string // that the server's certificate must have; "" = Host
	Trusted bool   // tls-verify-peer=false: whoever answers is believed
}

// IsURI says whether a word is meant as the URI of an export rather than as a path.
func IsURI(word string) bool {
	scheme, _, ok := strings.Cut(word, "://")
	return ok && strings.HasPrefix(scheme, "nbd")
}

// ParseURI reads the URI of an export. What it does not know is an error: a typing error must not lead to another export.
func ParseURI(word string) (URI, error) {
	u, err := url.Parse(word)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return URI{}, fmt.Errorf("%s: %w: write nbd://host:port/export, or nbd+unix:///export?socket=/path", word, err)
	}
	r := URI{Export: strings.TrimPrefix(u.Path, "/")}
	scheme, kind, _ := strings.Cut(u.Scheme, "+")
	bad := func(why string) (URI, error) { return URI{}, fmt.Errorf("%s: %s", word, why) }
	switch {
	case scheme != "nbd" && scheme != "nbds", kind != "" && kind != "unix":
		return bad("is none of nbd://, nbds://, nbd+unix:// and nbds+unix://")
	case u.Opaque != "" || !strings.Contains(word, "://"):
		return bad("needs two slashes behind the colon, such as nbd://host/export")
	case u.Fragment != "":
		return bad("# in an export's name is written %23")
	case !validName(r.Export):
		return bad(fmt.Sprintf("an export's name is at most %d bytes of UTF-8", maxName))
	case u.User != nil && scheme == "nbd":
		return bad("a user's name is for nbds:// alone")
	}
	r.TLS = scheme == "nbds"
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("after the question mark: " + err.Error())
	}
	for key, values := range q {
		v := values[len(values)-1]
		switch {
		case len(values) > 1:
			return bad(key + "= is given twice")
		case key == "socket" && kind == "unix":
			r.Socket = v
		case key == "tls-certificates" && r.TLS:
			r.Certs = v
		case key == "tls-hostname" && r.TLS:
			r.Name = v
		case key == "tls-verify-peer" && r.TLS && (v == "true" || v == "false"):
			r.Trusted = v == "false"
		case key == "tls-psk-file":
			return bad("pre-shared keys are not supported: use certificates (tls-certificates=FOLDER)")
		default:
			return bad(fmt.Sprintf("%s=%s has no meaning here", key, v))
		}
	}
	if kind == "unix" {
		switch {
		case u.Host != "":
			return bad("the export follows three slashes: nbd+unix:///export?socket=/path")
		case r.Socket == "":
			return bad("which socket? write nbd+unix:///" + r.Export + "?socket=/path")
		}
		return r, nil
	}
	r.Host, r.Port = u.Hostname(), u.Port()
	if r.Host == "" {
		r.Host = "localhost"
	}
	if r.Port == "" {
		r.Port = DefaultPort
	}
	if _, err := netip.ParseAddr(r.Host); err != nil && strings.ContainsAny(r.Host, ":[]%") {
		return bad("an address with colons is written in brackets, such as nbd://[::1]/export")
	}
	return r, nil
}

// String is the URI as ParseURI reads it.
func (u URI) String() string {
	scheme := "nbd"
	q := url.Values{}
	if u.TLS {
		scheme = "nbds"
		for key, v := range map[string]string{"tls-certificates": u.Certs, "tls-hostname": u.Name} {
			if v != "" {
				q.Set(key, v)
			}
		}
		if u.Trusted {
			q.Set("tls-verify-peer", "false")
		}
	}
	s := url.URL{Scheme: scheme, Path: "/" + u.Export}
	if u.Host == "" {
		s.Scheme += "+unix"
		q.Set("socket", u.Socket)
	} else if s.Host = u.Host; u.Port != DefaultPort {
		s.Host = net.JoinHostPort(u.Host, u.Port)
	} else if strings.Contains(u.Host, ":") {
		s.Host = "[" + u.Host + "]"
	}
	s.RawQuery = strings.ReplaceAll(q.Encode(), "%2F", "/")
	return s.String()
}

// Short is what to call the export in a message: the server's host or socket and the export's name.
func (u URI) Short() string {
	at := filepath.Base(u.Socket)
	if u.Host != "" {
		at = u.Host
		if u.Port != DefaultPort {
			at = net.JoinHostPort(u.Host, u.Port)
		}
	}
	if u.Export == "" {
		return at
	}
	return at + "/" + u.Export
}

// network and address are where the server is.
func (u URI) network() string {
	if u.Host == "" {
		return "unix"
	}
	return "tcp"
}

func (u URI) address() string {
	if u.Host == "" {
		return u.Socket
	}
	return net.JoinHostPort(u.Host, u.Port)
}
