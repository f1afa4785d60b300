package seaweedfs

import (
	"context"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"kelp/internal/seaweed"
)

// free deletes files that nothing in the sequence names any more.
func (s *Store) free(files []string) {
	for _, f := range files {
		dir, name := path.Split(path.Join(s.o.Root, f))
		err := s.retry(s.life, func(ctx context.Context) error { return s.obj.Delete(ctx, strings.TrimSuffix(dir, "/"), name) })
		if err != nil {
			s.o.Logger.Warn("a file that is not wanted any more stays until the next start", "file", f, "error", err)
		}
	}
}

// dropChunks frees the folders of the sequence that the snapshot before the newest covers and in
// which nothing is wanted. Fences stay for good.
func (s *Store) dropChunks(ctx context.Context) error {
	s.mu.RLock()
	upTo := s.older
	s.mu.RUnlock()
	root := path.Join(s.o.Root, "log")
	var folders []uint64
	err := s.obj.List(ctx, root, "", func(e seaweed.Entry, folder bool) error {
		if first, err := strconv.ParseUint(e.Name, 10, 64); err == nil && folder && first+s.o.chunksPerFolder-1 <= upTo {
			folders = append(folders, first)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, first := range folders {
		if err := s.dropFolder(ctx, root, first); err != nil {
			return err
		}
	}
	return s.dropSnapshots(ctx)
}

func (s *Store) dropFolder(ctx context.Context, root string, first uint64) error {
	var fences []uint64
	s.mu.RLock()
	wanted := false
	for seq := first; seq < first+s.o.chunksPerFolder; seq++ {
		wanted = wanted || s.live[seq] > 0
		if s.fences[seq] {
			fences = append(fences, seq)
		}
	}
	s.mu.RUnlock()
	if wanted || s.emptied[first] {
		return nil
	}
	if len(fences) == 0 {
		return s.obj.Delete(ctx, root, s.folderOf(first))
	}
	var names []string
	err := s.obj.List(ctx, path.Join(root, s.folderOf(first)), "", func(e seaweed.Entry, _ bool) error {
		if seq, err := strconv.ParseUint(e.Name, 10, 64); err == nil && !slices.Contains(fences, seq) {
			names = append(names, e.Name)
		}
		return nil
	})
	for _, name := range names {
		err = errors.Join(err, s.obj.Delete(ctx, path.Join(root, s.folderOf(first)), name))
	}
	s.emptied[first] = err == nil // only fences are left: it need not be listed again
	return err
}

// dropSnapshots keeps the two newest.
func (s *Store) dropSnapshots(ctx context.Context) error {
	var names []string
	err := s.obj.List(ctx, s.snapshots(), "", func(e seaweed.Entry, _ bool) error {
		names = append(names, e.Name)
		return nil
	})
	for i := 0; i < len(names)-2 && err == nil; i++ {
		err = s.obj.Delete(ctx, s.snapshots(), names[i])
	}
	return err
}

// sweep deletes files that earlier owners left: written, but never named in the sequence, or not
// named any more. Files of this owner may be on their way, and those of a later one must not be
// judged by an owner that does not know yet that it has been fenced.
func (s *Store) sweep(ctx context.Context) error {
	s.mu.RLock()
	known := map[string]bool{}
	for _, p := range s.parts {
		for _, g := range p.segments {
			known[g.File] = true
		}
	}
	s.mu.RUnlock()
	var gone []string
	err := s.files(ctx, "parts", 2, func(file string) {
		parts := strings.Split(path.Base(file), "-")
		if len(parts) != 3 || known[file] {
			return
		}
		if fence, err := strconv.ParseUint(parts[1], 10, 64); err == nil && fence < s.fenced {
			gone = append(gone, file)
		}
	})
	s.free(gone)
	return err
}

// files visits every file so many folders below one.
func (s *Store) files(ctx context.Context, dir string, depth int, visit func(file string)) error {
	var folders []string
	err := s.obj.List(ctx, path.Join(s.o.Root, dir), "", func(e seaweed.Entry, folder bool) error {
		if at := path.Join(dir, e.Name); folder {
			folders = append(folders, at)
		} else if depth == 0 {
			visit(at)
		}
		return nil
	})
	for _, f := range folders {
		if err == nil && depth > 0 {
			err = s.files(ctx, f, depth-1, visit)
		}
	}
	return err
}
