//go:build !unix

package imageproc

import "errors"

func makeFIFO(string) error { return errors.ErrUnsupported }
