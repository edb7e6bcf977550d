//go:build !unix && !windows

package file

import "os"

func (d *Device) identify(os.FileInfo) Identity { return Identity{Path: absolute(d.path)} }
