module graid/bench/parity

go 1.26.0

require (
	github.com/klauspost/reedsolomon v1.14.2
	github.com/templexxx/xorsimd v0.4.1
	golang.org/x/sys v0.49.0
	graid v0.0.0
)

require (
	github.com/klauspost/cpuid/v2 v2.3.0 // indirect
	github.com/templexxx/cpu v0.0.1 // indirect
)

replace graid => ../..
