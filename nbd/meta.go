package nbd

import "strings"

// The only context there is, and its number on the wire.
const (
	contextAllocation = "base:allocation"
	allocationID      = 1
)

// forget drops the contexts that were chosen: SET_META_CONTEXT replaces them even when it fails.
func (c *conn) forget(code uint32) {
	if code == optSetMeta {
		c.allocation, c.metaName = false, ""
	}
}

// meta answers LIST_META_CONTEXT and SET_META_CONTEXT.
func (c *conn) meta(o option) {
	c.forget(o.code)
	if !c.structured {
		c.refuse(o.code, repErrInvalid, "structured replies were not negotiated")
		return
	}
	name, queries, ok := cutQueries(o.data)
	if !ok {
		c.refuse(o.code, repErrInvalid, "lengths inside the option do not add up")
		return
	}
	v := c.find(name)
	if v == nil {
		c.unknown(o.code)
		return
	}
	c.srv.release(v)
	if !wantsAllocation(queries, o.code == optListMeta) {
		c.reply(o.code, repAck, nil)
		return
	}
	id := uint32(allocationID)
	if o.code == optListMeta {
		id = 0 // nothing is chosen by a list
	} else {
		c.allocation, c.metaName = true, name
	}
	c.reply(o.code, repMetaContext, append(be.AppendUint32(nil, id), contextAllocation...))
	c.reply(o.code, repAck, nil)
}

// wantsAllocation says whether the queries name base:allocation. A list may ask for everything, or for all of "base:";
// namespaces that nobody here knows are passed over.
func wantsAllocation(queries []string, list bool) bool {
	if list && queries == nil {
		return true
	}
	for _, q := range queries {
		if q == contextAllocation || (list && q == "base:") {
			return true
		}
	}
	return false
}

// cutQueries splits the data of a meta context option. Every length is checked against what is there before anything is
// made of it; names beyond the protocol's limit are passed over as unknown.
func cutQueries(b []byte) (export string, queries []string, ok bool) {
	export, b, ok = cutString(b)
	if !ok || len(b) < 4 {
		return "", nil, false
	}
	n := be.Uint32(b)
	b = b[4:]
	for ; n > 0; n-- {
		var q string
		if q, b, ok = cutString(b); !ok {
			return "", nil, false
		}
		if strings.HasPrefix(q, "base:") && len(q) <= maxName {
			queries = append(queries, q)
		} else if queries == nil {
			queries = []string{} // asked, but for nothing known: not the same as not asked
		}
	}
	return export, queries, len(b) == 0
}
