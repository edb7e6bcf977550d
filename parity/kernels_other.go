//go:build !amd64 && !arm64

package parity

func available() []level { return []level{generic} }

func xorVectors([]byte, [][]byte, bool) int         { return 0 }
func pqVectors(_, _ []byte, _ [][]byte, _ bool) int { return 0 }
func sumVectors(_, _ []byte, _ [][]byte) int        { return 0 }
func sumQVectors(_, _, _ []byte, _ [][]byte) int    { return 0 }
func sumsVectors(_, _, _, _ []byte, _ [][]byte) int { return 0 }
func zeroVectors([]byte) (done int, zero bool)      { return 0, true }
