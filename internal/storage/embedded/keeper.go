package embedded

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"kelp/internal/storage"
	"kelp/internal/vfs"
)

// minFileBytes is the smallest journal file that is made when the disk is nearly full.
const minFileBytes = 1 << 20

// With durability os, files are sealed this long after they are full, or when there are more of them.
const (
	settleAfter = 10 * time.Second
	settleAhead = 8
)

// keepEvery is how often the keeper looks around when nothing wakes it.
const keepEvery = time.Second

// keeper is the housekeeping beside the writer: it makes the next file ahead of time, seals files,
// writes snapshots, packs what is scattered and removes what is dead.
type keeper struct {
	wake    chan struct{}
	packing chan struct{} // wakes the settler
	spares  chan struct{} // wakes who makes the next file
	end     chan struct{}
	once    sync.Once
	wg      sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	tasks []task     // oldest first

	// The keeper's own:
	oldest uint64 // the first file that a replay would read
	hurry  bool   // there is dead space in files that are not sealed
}

// task is a file to seal, and then a snapshot to write; either may be missing.
type task struct {
	seal     *file
	snapshot []byte
	seq      uint64 // first file that is to be replayed on the snapshot
	since    time.Time
}

func (k *keeper) init() {
	k.wake, k.packing = make(chan struct{}, 1), make(chan struct{}, 1)
	k.spares, k.end = make(chan struct{}, 1), make(chan struct{})
}

func (k *keeper) stop() {
	k.once.Do(func() { close(k.end) })
	k.wg.Wait()
}

func (k *keeper) stopping() bool {
	select {
	case <-k.end:
		return true
	default:
		return false
	}
}

func (s *Store) wakeKeeper() { signal(s.keeper.wake) }

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (k *keeper) add(t task) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tasks = append(k.tasks, t)
}

// keep is the goroutine that seals, writes snapshots and removes.
func (s *Store) keep() {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		s.work(s.o.Sync || s.keeper.hurry || s.Failed() != nil)
		s.sweep()
		signal(s.keeper.packing)
		select {
		case <-s.keeper.end:
			s.work(true)
			return
		case <-s.keeper.wake:
		case <-tick.C:
		}
	}
}

// makeSpares is the goroutine that makes journal files ahead of time; while there is no room it tries
// again and again.
func (s *Store) makeSpares() {
	for {
		if !s.prepare() {
			if !s.pause(retryAfter) {
				return
			}
			continue
		}
		select {
		case <-s.keeper.end:
			return
		case <-s.keeper.spares:
		}
	}
}

// rolled is called when the first group of a new file is about to be applied: what is applied is
// exactly what older files hold.
func (s *Store) rolled(r roll) {
	s.keeper.add(task{seal: r.old, snapshot: s.capture(r.next.seq), seq: r.next.seq, since: time.Now()})
	s.wakeKeeper()
}

// ripe says whether it is time for the oldest task. Acknowledged from the page cache, a file is left
// to the system to write for a while, as forcing it would take the disk from those who read and append.
func (k *keeper) ripe() bool {
	return len(k.tasks) > settleAhead || time.Since(k.tasks[0].since) > settleAfter
}

// work seals and writes snapshots in order. What fails stays and is tried again.
func (s *Store) work(now bool) {
	for {
		s.keeper.mu.Lock()
		if len(s.keeper.tasks) == 0 || !now && !s.keeper.ripe() {
			s.keeper.mu.Unlock()
			return
		}
		t := s.keeper.tasks[0]
		s.keeper.mu.Unlock()
		if err := s.carryOut(t); err != nil {
			s.o.Logger.Warn("could not finish a log file; it will be tried again", "error", err)
			return
		}
		s.keeper.mu.Lock()
		s.keeper.tasks = s.keeper.tasks[1:]
		s.keeper.mu.Unlock()
	}
}

func (s *Store) carryOut(t task) error {
	if t.seal != nil {
		if err := s.seal(t.seal); err != nil {
			return err
		}
	}
	if t.snapshot == nil {
		return nil
	}
	if err := s.writeSnapshot(t.seq, t.snapshot); err != nil {
		return err
	}
	s.keeper.oldest = t.seq
	return nil
}

// seal gives a file its index. Its entries leave memory as far as the cache has no room for them.
func (s *Store) seal(f *file) error {
	s.filesMu.RLock()
	sealed, dataEnd, lastChunk := f.sealed, f.dataEnd, f.lastChunk
	s.filesMu.RUnlock()
	if sealed {
		return nil
	}
	handle, err := s.handles.pin(f)
	if err != nil {
		return err
	}
	defer s.handles.unpin(f)
	// What was acknowledged from the page cache is on its way; if this fails it may be lost, and
	// what is read back has to be checked.
	if err := handle.Sync(); err != nil {
		f.fresh.Store(false)
		return fmt.Errorf("sync %s: %w", f.name, err)
	}
	if !s.o.Sync && lastChunk > s.synced.Load() {
		if err := s.o.FS.SyncDir(s.dir); err != nil {
			return err
		}
		s.synced.Store(lastChunk)
	}
	all := f.pieces.all
	s.filesMu.Lock()
	f.countRuns()
	s.filesMu.Unlock()
	if err := writeFooter(handle, trailer{dataEnd: dataEnd, lastChunk: lastChunk, runs: f.runs, payload: f.payload.Load()}, all); err != nil {
		return fmt.Errorf("index of %s: %w", f.name, err)
	}
	s.filesMu.Lock()
	f.sealed = true
	f.pieces.open = nil
	s.filesMu.Unlock()
	for _, p := range all {
		s.unload(p)
	}
	s.m.sealed.Inc()
	s.handles.unpin(f) // the writer's
	return nil
}

// unload moves a sealed piece's entries to the cache.
func (s *Store) unload(p *piece) {
	b := newBlock(p, p.entries)
	b.fresh = p.file.fresh.Load()
	s.cache.put(b)
	st := s.state(p.id)
	if st == nil {
		st = &state{}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	p.entries, p.closed = nil, true
}

// sealLast seals the journal when the store is closed, so that the next start has nothing to replay.
func (s *Store) sealLast() error {
	s.filesMu.Lock()
	var last *file
	unused := []*file{}
	if s.spare != nil {
		unused = append(unused, s.spare)
		s.spare = nil
	}
	for _, f := range s.files {
		switch {
		case f.kind != journalFile || f.sealed:
		case f.dataEnd == 0:
			unused = append(unused, f)
		case last == nil || f.seq > last.seq:
			last = f
		}
	}
	s.filesMu.Unlock()
	for _, f := range unused {
		s.handles.unpin(f)
		s.discard(f)
	}
	if last == nil || len(s.keeper.tasks) > 0 {
		return nil // replaying gives the same
	}
	seq := s.nextSeq.Add(1)
	if err := s.carryOut(task{seal: last, snapshot: s.capture(seq), seq: seq}); err != nil {
		s.o.Logger.Warn("the log is closed without an index; the next start reads it back", "error", err)
	}
	s.sweep()
	return nil
}

// prepare makes the next journal file ahead of time; false when there is no room.
func (s *Store) prepare() bool {
	s.making.Lock()
	if s.spare == nil {
		f, err := s.makeJournal()
		if err != nil {
			s.making.Unlock()
			return false
		}
		s.spare = f
	}
	s.making.Unlock()
	q := s.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full != nil {
		q.full = nil
		s.o.Logger.Info("there is room for log files again")
	}
	return true
}

// nextFile gives the writer a journal file, pinned.
func (s *Store) nextFile() (*file, error) {
	s.making.Lock()
	defer s.making.Unlock()
	f := s.spare
	s.spare = nil
	if f == nil {
		var err error
		if f, err = s.makeJournal(); err != nil {
			return nil, err
		}
	}
	s.filesMu.Lock()
	s.files[f.seq] = f
	s.filesMu.Unlock()
	signal(s.keeper.spares)
	return f, nil
}

// makeJournal makes an empty file, as large as there is room for, whose name is durable.
func (s *Store) makeJournal() (f *file, err error) {
	for limit := s.o.FileBytes; ; limit /= 4 {
		if f, err = s.makeFile(journalFile, limit+reserveBytes); err == nil {
			f.limit = limit
			f.fresh.Store(true)
			return f, nil
		}
		if limit/4 < minFileBytes {
			return nil, err
		}
	}
}

// makeFile makes a file of the next number and reserves its space.
func (s *Store) makeFile(kind fileKind, reserve int64) (*file, error) {
	f := &file{seq: s.nextSeq.Add(1), kind: kind}
	f.name = filepath.Join(s.dir, fileName(kind, f.seq))
	f.pieces = newPieces(f)
	handle, err := s.o.FS.Create(f.name)
	if err != nil {
		return nil, err
	}
	if reserve > 0 {
		err = handle.Preallocate(reserve)
	}
	if err == nil && s.o.Sync { // otherwise sealing does it
		if err = handle.Sync(); err == nil {
			err = s.o.FS.SyncDir(s.dir)
		}
	}
	if err != nil {
		return nil, errors.Join(err, handle.Close(), s.o.FS.Remove(f.name))
	}
	s.handles.hold(f, handle)
	return f, nil
}

func fileName(kind fileKind, seq uint64) string {
	if kind == packedFile {
		return fmt.Sprintf("packed-%016x.log", seq)
	}
	return fmt.Sprintf("journal-%016x.log", seq)
}

// prove writes and syncs where the new file's header will be: a disk that fails should fail now.
func (s *Store) prove(f *file) error {
	err := s.withHandle(f, func(h vfs.File) error {
		if _, err := h.WriteAt(make([]byte, fileHeaderBytes), 0); err != nil {
			return err
		}
		return h.Sync()
	})
	if err != nil {
		s.handles.unpin(f)
		s.discard(f)
	}
	return err
}

func (s *Store) withHandle(f *file, use func(vfs.File) error) error {
	h, err := s.handles.pin(f)
	if err != nil {
		return err
	}
	defer s.handles.unpin(f)
	return use(h)
}

// chunks is the bytes of a file that were applied.
func (s *Store) chunks(f *file) int64 {
	s.filesMu.RLock()
	defer s.filesMu.RUnlock()
	return f.dataEnd
}

// discard forgets and removes a file in which nothing lies.
func (s *Store) discard(f *file) {
	s.filesMu.Lock()
	delete(s.files, f.seq)
	s.filesMu.Unlock()
	s.handles.drop(f)
}

// sweep removes files in which nothing live lies and that no replay would read.
func (s *Store) sweep() {
	s.filesMu.RLock()
	var dead []*file
	activeDead := int64(0)
	for _, f := range s.files {
		switch {
		case f.sealed && !f.settling && f.uses.Load() == 0 && (f.kind == packedFile || f.seq < s.keeper.oldest):
			dead = append(dead, f)
		case f.kind == journalFile && !f.sealed:
			activeDead += f.dataEnd - f.live.Load()
		}
	}
	s.filesMu.RUnlock()
	s.keeper.hurry = activeDead > s.o.FileBytes/4
	if s.keeper.hurry && !s.keeper.stopping() {
		s.rollNow.Store(true) // so that it can be sealed and its space given back
	}
	if len(dead) == 0 || s.doubt.there() || !s.settled() {
		return
	}
	slices.SortFunc(dead, func(a, b *file) int { return int(a.seq) - int(b.seq) })
	for _, f := range dead {
		s.discard(f)
		s.m.freed.Inc()
	}
	if err := s.o.FS.SyncDir(s.dir); err != nil {
		s.o.Logger.Warn("names of removed files may come back after a power loss; they will be removed again", "error", err)
	}
}

// settled makes what is applied durable: only then may what it took away go.
func (s *Store) settled() bool {
	if s.o.Sync {
		return true
	}
	s.filesMu.RLock()
	var open []*file
	for _, f := range s.files {
		if f.kind == journalFile && !f.sealed && f.dataEnd > 0 {
			open = append(open, f)
		}
	}
	s.filesMu.RUnlock()
	for _, f := range open {
		if err := s.syncFile(f); err != nil && !errors.Is(err, storage.ErrNotFound) {
			s.o.Logger.Warn("dead files stay for now", "error", err)
			return false
		}
	}
	if err := s.o.FS.SyncDir(s.dir); err != nil { // the names of files that were made meanwhile
		s.o.Logger.Warn("dead files stay for now", "error", err)
		return false
	}
	return true
}
