package data

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A root is a folder that pictures may come from. What is reached through it stays in it: the system resolves no link that leads out.
type root struct {
	dir  string // absolute
	real string // dir without symbolic links
	*os.Root
}

func openRoot(dir string) (*root, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return nil, err
	}
	r, err := os.OpenRoot(real)
	if err != nil {
		return nil, err
	}
	return &root{abs, real, r}, nil
}

// within returns name, an absolute path, relative to the root.
func (r *root) within(name string) (string, bool) {
	for _, dir := range []string{r.dir, r.real} {
		if rel, ok := strings.CutPrefix(name, strings.TrimSuffix(dir, string(filepath.Separator))+string(filepath.Separator)); ok {
			return rel, true
		}
	}
	return "", false
}

// regular returns an error if rel is no regular file in the root.
func (r *root) regular(rel string) error {
	info, err := r.Stat(rel)
	if err == nil && !info.Mode().IsRegular() {
		what := "no regular file"
		if info.IsDir() {
			what = "a folder"
		}
		return bad(badRegular, "the picture %s is %s: name a picture's file", quote(filepath.Join(r.dir, rel)), what)
	}
	return err
}

// roots are the folders that the pictures of a file come from, in the order in which they are asked.
type roots []*root

// find returns the absolute path of the picture that a record calls name.
func (rs roots) find(name string) (string, error) {
	switch {
	case strings.TrimSpace(name) == "":
		return "", bad(badKind, "the name of the picture is empty: leave it out where there is no picture")
	case strings.Contains(name, "://"), strings.HasPrefix(name, "data:"), strings.HasPrefix(name, "file:"):
		return "", bad(badURL, "the picture %s is a URL, and pictures are read from folders only: save it, and give its path", quote(name))
	case strings.IndexByte(name, 0) >= 0:
		return "", bad(badPath, "the picture %s has a zero byte in its name", quote(name))
	}
	for e := range strings.FieldsFuncSeq(name, func(c rune) bool { return c == '/' || c == filepath.Separator }) {
		if e == ".." {
			return "", bad(badPath, "the picture %s goes upwards with ..: give its path under %s", quote(name), rs)
		}
	}
	path := filepath.Clean(filepath.FromSlash(name))
	if filepath.IsAbs(path) {
		for _, r := range rs {
			if rel, ok := r.within(path); ok {
				return rs.look(roots{r}, name, rel)
			}
		}
	}
	// In this data a leading slash means the folder of pictures.
	rel := strings.TrimLeft(path, string(filepath.Separator))
	if !filepath.IsLocal(rel) {
		return "", bad(badPath, "the picture %s is outside of %s: give its path under it", quote(name), rs)
	}
	return rs.look(rs, name, rel)
}

// look finds rel in one of the roots in, which are of rs.
func (rs roots) look(in roots, name, rel string) (string, error) {
	var failure error
	for _, r := range in {
		err := r.regular(rel)
		if err == nil {
			return filepath.Join(r.dir, rel), nil
		}
		if _, ok := errors.AsType[*fault](err); ok {
			return "", err
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		// A link that leads out may lead into another root.
		if real, e := filepath.EvalSymlinks(filepath.Join(r.real, rel)); e == nil {
			for _, other := range rs {
				if rel, ok := other.within(real); ok && other.regular(rel) == nil {
					return filepath.Join(other.dir, rel), nil
				}
			}
		}
		if failure == nil {
			failure = err
		}
	}
	if failure != nil {
		if e, ok := errors.AsType[*fs.PathError](failure); ok {
			failure = e.Err
		}
		if errors.Is(failure, fs.ErrPermission) || errors.Is(failure, syscall.ELOOP) {
			return "", bad(badImage, "the picture %s cannot be read: %v", quote(name), failure)
		}
		return "", bad(badPath, "the picture %s is outside of %s: a link in it leads out (%v): copy it, or name the folder that it leads to as a further folder of pictures",
			quote(name), rs, failure)
	}
	return "", bad(badImage, "the picture %s is missing: it is not in %s: put it there, or name the folder that it is in", quote(name), in)
}

// open opens a picture that find has found.
func (rs roots) open(path string) (*os.File, error) {
	for _, r := range rs {
		rel, ok := r.within(path)
		if !ok {
			continue
		}
		if err := r.regular(rel); err != nil { // opening a pipe would wait
			return nil, err
		}
		f, err := r.Open(rel)
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is no regular file", path)
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
	return nil, fmt.Errorf("%s is outside of %s", path, rs)
}

// String lists the roots for a message.
func (rs roots) String() string {
	var b strings.Builder
	for i, r := range rs {
		if i == 4 {
			fmt.Fprintf(&b, " and %d more", len(rs)-i)
			break
		}
		if i > 0 {
			b.WriteString(" or ")
		}
		b.WriteString(r.dir)
	}
	return b.String()
}
