package stream

// Neutralize applies the neutralizer to one chunk after the other, in place.
func Neutralize(chunks ...[]byte) {
	var n neutralizer
	for _, c := range chunks {
		n.apply(c)
	}
}
