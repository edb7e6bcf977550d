package daemon

import (
	"errors"

	"graid/block"
	"graid/block/file"
)

func cover(d *file.Device, path, dir string) (block.Device, error) { return nil, errors.ErrUnsupported }
