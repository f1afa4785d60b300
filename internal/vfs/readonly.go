package vfs

// ReadOnly reads a file system and leaves every change out: calls that would change something
// succeed and do nothing. It lets a tool read back what a store would find, without touching it.
type ReadOnly struct{ FS }

type readOnlyFile struct{ File }

// Create implements FS: there is no file to write to.
func (ReadOnly) Create(string) (File, error) { return nil, ErrUnsupported }

// Open implements FS.
func (r ReadOnly) Open(name string) (File, error) {
	f, err := r.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return readOnlyFile{f}, nil
}

// Remove implements FS.
func (ReadOnly) Remove(string) error { return nil }

// Rename implements FS.
func (ReadOnly) Rename(string, string) error { return nil }

// MakeDir implements FS.
func (ReadOnly) MakeDir(string) error { return nil }

// SyncDir implements FS.
func (ReadOnly) SyncDir(string) error { return nil }

func (readOnlyFile) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }

func (readOnlyFile) WriteBuffers([][]byte, int64) error { return nil }

func (readOnlyFile) Sync() error { return nil }

func (readOnlyFile) Truncate(int64) error { return nil }

func (readOnlyFile) Preallocate(int64) error { return nil }

func (readOnlyFile) Punch(int64, int64) error { return nil }
