// Package common has as much of the Tencent cloud SDK as it takes to compile flanneld.
package common

func StringPtr(text string) *string { return &text }

func BoolPtr(value bool) *bool { return &value }

func StringPtrs(texts []string) []*string {
	pointers := make([]*string, len(texts))
	for i := range texts {
		pointers[i] = &texts[i]
	}
	return pointers
}
