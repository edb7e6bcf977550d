package md

import "fmt"

// Feature is a set of bits of a 1.x superblock's feature map. A bit that is not known means that the member must not be used.
type Feature uint32

// The features. Bits 1, 3, 4 and 6 speak of one member, the others of the whole array.
const (
	FeatureBitmap           Feature = 1 << iota // an internal bitmap
	FeatureRecovery                             // the member is good only below RecoveryOffset
	FeatureReshape                              // a reshape is under way: New* and ReshapePosition count
	FeatureBadBlocks                            // the bad block log is not empty and must be obeyed
	FeatureReplacement                          // the member stands in for another one of the same role
	FeatureReshapeBackwards                     // the reshape runs from the end
	FeatureNewOffset                            // NewOffset counts
	FeatureRecoveryBitmap                       // the recovery under way copies only what the bitmap says
	FeatureClustered                            // several hosts use the array at once
	FeatureJournal                              // the array has, or needs, a journal member
	FeaturePPL                                  // partial parity log, one slot
	FeatureMultiPPL                             // partial parity log, a ring
	FeatureRaid0Layout                          // Layout means something for raid0

	// FeatureAll is every bit that is known.
	FeatureAll Feature = 1<<iota - 1
)

const featurePPLs = FeaturePPL | FeatureMultiPPL

var featureNames = [...]string{
	"bitmap", "recovery", "reshape", "bad_blocks", "replacement", "reshape_backwards", "new_offset", "recovery_bitmap",
	"clustered", "journal", "ppl", "multiple_ppls", "raid0_layout",
}

// Names are the names of the bits of f, lowest first; an unknown one is "bit13". Never nil.
func (f Feature) Names() []string {
	names := []string{}
	for bit := range 32 {
		switch {
		case f>>bit&1 == 0:
		case bit < len(featureNames):
			names = append(names, featureNames[bit])
		default:
			names = append(names, fmt.Sprintf("bit%d", bit))
		}
	}
	return names
}
