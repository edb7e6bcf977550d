package daemon

import (
	"context"
	"net/http"
)

type bitmapRequest struct {
	Internal bool  `json:"internal"`    // false: none
	Chunk    int64 `json:"chunk_bytes"` // 0 = mdadm's choice
}

func (p *Process) setBitmap(w http.ResponseWriter, r *http.Request) {
	var q bitmapRequest
	if !ask(w, r, &q) {
		return
	}
	p.changing <- struct{}{}
	defer func() { <-p.changing }()
	var err error
	if ctx := r.Context(); q.Internal { // until no write is under way, who asked may still change his mind
		err = p.array.AddBitmap(ctx, q.Chunk)
	} else {
		err = p.array.RemoveBitmap(ctx)
	}
	answer(w, p.Array(), err)
}

// AddBitmap asks the array for an internal write-intent bitmap of so many bytes per bit; 0 = mdadm's choice.
func (f Folder) AddBitmap(ctx context.Context, name string, chunk int64) (Array, error) {
	return f.call(ctx, name, http.MethodPost, "/bitmap", bitmapRequest{true, chunk})
}

// RemoveBitmap asks the array to give its bitmap up.
func (f Folder) RemoveBitmap(ctx context.Context, name string) (Array, error) {
	return f.call(ctx, name, http.MethodPost, "/bitmap", bitmapRequest{})
}
