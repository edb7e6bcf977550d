package nbd_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"graid/nbd"
)

func TestURI(t *testing.T) {
	for word, want := range map[string]nbd.URI{
		"nbd://host":                         {Host: "host", Port: "10809"},
		"nbd://host/":                        {Host: "host", Port: "10809"},
		"nbd:///x":                           {Host: "localhost", Port: "10809", Export: "x"},
		"nbd://host:77/a/b%20c":              {Host: "host", Port: "77", Export: "a/b c"},
		"nbd://[::1]:77/x":                   {Host: "::1", Port: "77", Export: "x"},
		"nbd://[::1]/x":                      {Host: "::1", Port: "10809", Export: "x"},
		"nbd+unix:///?socket=/tmp/s":         {Socket: "/tmp/s"},
		"nbd+unix:///x?socket=/tmp/a%3Fb%26": {Socket: "/tmp/a?b&", Export: "x"},
		"nbds://host/x?tls-certificates=/etc/c&tls-hostname=h": {TLS: true, Host: "host", Port: "10809", Export: "x", Certs: "/etc/c", Name: "h"},
		"nbds+unix:///x?socket=/s&tls-verify-peer=false":       {TLS: true, Socket: "/s", Export: "x", Trusted: true},
		"nbds+unix:///x?socket=/s&tls-verify-peer=true":        {TLS: true, Socket: "/s", Export: "x"},
		"nbd+unix:////x?socket=/s":                             {Socket: "/s", Export: "/x"},
	} {
		u, err := nbd.ParseURI(word)
		require.NoError(t, err, word)
		require.Equal(t, want, u, word)
		again, err := nbd.ParseURI(u.String())
		require.NoError(t, err, u.String())
		require.Equal(t, u, again, u.String())
		require.True(t, nbd.IsURI(word))
	}
	for word, want := range map[string]string{
		"nbd+unix:///x":                       "which socket? write nbd+unix:///x?socket=/path",
		"nbd+unix://x?socket=/s":              "three slashes",
		"nbd://host/x?socket=/s":              "socket=/s has no meaning here",
		"nbd://host/x?tls-certificates=/c":    "has no meaning here",
		"nbds://host/x?tls-verify-peer=maybe": "has no meaning here",
		"nbds://host/x?tls-psk-file=/k":       "pre-shared keys are not supported",
		"nbd+vsock://1/x":                     "is none of",
		"nbdx://host/x":                       "is none of",
		"nbd:host":                            "needs two slashes",
		"nbd://host/x#y":                      "%23",
		"nbd://host:port/x":                   "invalid port",
		"nbd://::":                            "in brackets",
		"nbd://user@host/x":                   "for nbds:// alone",
		"nbd+unix:///x?socket=/a&socket=/b":   "given twice",
		"nbd://host/a%00b":                    "UTF-8",
		"nbd://host/%ff":                      "UTF-8",
		"nbd://host/%zz":                      "invalid URL escape",
	} {
		_, err := nbd.ParseURI(word)
		require.ErrorContains(t, err, want, word)
	}
	for _, word := range []string{"/dev/sda", "nbd", "./nbd://x"[2:3], "a.img", "http://x"} {
		require.False(t, nbd.IsURI(word), word)
	}
	for word, want := range map[string]string{"nbd://h/x": "h/x", "nbd://h:1/x": "h:1/x", "nbd://h": "h", "nbd+unix:///?socket=/a/b.sock": "b.sock", "nbd+unix:///x?socket=/a/b.sock": "b.sock/x"} {
		u, err := nbd.ParseURI(word)
		require.NoError(t, err)
		require.Equal(t, want, u.Short())
	}
}

// FuzzURI: what is read as a URI is written so that it is read as the same.
func FuzzURI(f *testing.F) {
	for _, word := range []string{"nbd://host:77/a/b%20c", "nbd+unix:///x?socket=/tmp/s", "nbds://[::1%25eth0]/x?tls-hostname=h&tls-verify-peer=false", "nbds+unix:///?socket=s&tls-certificates=%2f"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		u, err := nbd.ParseURI(word)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.NotEmpty(t, u.Short())
		again, err := nbd.ParseURI(u.String())
		require.NoError(t, err, "%q, read from %q", u.String(), word)
		require.Equal(t, u, again, "%q, read from %q", u.String(), word)
	})
}
