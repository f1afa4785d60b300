package seaweed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// ErrUnsafe says that a SeaweedFS cannot keep a log safely as it is set up, and why.
var ErrUnsafe = errors.New("not safe for a log")

// claimsFolder holds one entry, whose name is the filer through which everything beside it is
// written, and for moments the proposals of who comes first.
const (
	claimsFolder   = "filer"
	proposalPrefix = "proposal-"
)

// Owner connects to the filer through which all that is below root is written, whoever writes it.
//
// A filer checks conditional creates under locks in its own process, so two filers do not exclude
// each other, whether they share a metadata store or not. The first who comes claims root for one
// filer by an entry in that filer's store, and everybody after goes to that one. Two who come first
// at the same time through different filers cannot both claim: each proposes and then looks in the
// stores of all filers, so at least one sees both and takes its proposal back; a proposal goes only
// after the claim that it led to is there.
//
// ErrUnsafe is for good, until somebody changes the set-up; other errors can pass.
func Owner(ctx context.Context, o Options, root string) (*Client, error) {
	s, err := survey(ctx, o, root)
	if err != nil {
		return nil, err
	}
	defer s.close()
	switch claimed := named(s.claims); len(claimed) {
	case 0:
		return s.claim(ctx)
	case 1:
		return s.follow(ctx, claimed[0])
	default:
		return nil, fmt.Errorf("%w: %s is claimed for several filers, %s: end all nodes and delete the entries in %s but that of the filer "+
			"that holds the log", ErrUnsafe, root, strings.Join(claimed, " and "), path.Join(root, claimsFolder))
	}
}

// filersSeen is what is known of a cluster's filers.
type filersSeen struct {
	o         Options
	root      string
	pinned    string // the filer that was asked for, or empty
	filers    []Address
	clients   map[string]*Client  // those that answered
	stores    map[string]int32    // the metadata store of each of them
	claims    map[string][]string // the filers that the claims in each store name
	proposals map[string][]string
	silent    error // why the others did not answer
}

func survey(ctx context.Context, o Options, root string) (*filersSeen, error) {
	s := &filersSeen{
		o: o, root: root, clients: map[string]*Client{}, stores: map[string]int32{},
		claims: map[string][]string{}, proposals: map[string][]string{},
	}
	var missing error
	s.filers, missing = Filers(ctx, o)
	if o.Filer != "" {
		pinned, err := ParseAddress(o.Filer)
		if err != nil {
			return nil, fmt.Errorf("filer: %w", err)
		}
		s.pinned = pinned.String()
		if !slices.Contains(s.filers, pinned) {
			s.filers = append(s.filers, pinned)
		}
	} else if missing != nil {
		return nil, missing
	}
	for _, f := range s.filers {
		if err := s.ask(ctx, f); err != nil {
			s.silent = errors.Join(s.silent, err)
		}
	}
	if len(s.clients) == 0 {
		return nil, fmt.Errorf("no filer answers: %w", s.silent)
	}
	return s, nil
}

// ask looks at one filer.
func (s *filersSeen) ask(ctx context.Context, f Address) error {
	c, err := dial(f, s.o)
	if err != nil {
		return err
	}
	store, err := c.Store(ctx)
	if err != nil {
		return errors.Join(err, c.Close())
	}
	s.clients[f.String()], s.stores[f.String()] = c, store
	return s.look(ctx, f.String())
}

// look reads the claims and proposals in one filer's store.
func (s *filersSeen) look(ctx context.Context, filer string) error {
	var claims, proposals []string
	err := s.clients[filer].List(ctx, path.Join(s.root, claimsFolder), "", func(e Entry, _ bool) error {
		if strings.HasPrefix(e.Name, proposalPrefix) {
			proposals = append(proposals, string(e.Content))
		} else {
			claims = append(claims, e.Name)
		}
		return nil
	})
	s.claims[filer], s.proposals[filer] = claims, proposals
	return err
}

// named lists the filers that claims or proposals in all stores name.
func named(in ...map[string][]string) (all []string) {
	for _, stores := range in {
		for _, found := range stores {
			all = append(all, found...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (s *filersSeen) close() {
	for _, c := range s.clients {
		_ = c.Close()
	}
}

// take hands a client out.
func (s *filersSeen) take(filer string) *Client {
	c := s.clients[filer]
	delete(s.clients, filer)
	return c
}

// claim makes the first claim.
func (s *filersSeen) claim(ctx context.Context) (*Client, error) {
	if s.silent != nil {
		return nil, fmt.Errorf("before a log begins every filer must say that it has none: %w", s.silent)
	}
	filer := s.pinned
	if filer == "" {
		filer = s.filers[0].String()
		for f, store := range s.stores {
			if store != s.stores[filer] {
				return nil, fmt.Errorf("%w: filers %s and %s have metadata stores of their own, each sees late what was written to the other: "+
					"let them share one store, or choose the one that all nodes use with filer=host:port", ErrUnsafe, filer, f)
			}
		}
	}
	dir, c := path.Join(s.root, claimsFolder), s.clients[filer]
	proposal := Entry{Name: proposalPrefix + rand.Text(), Content: []byte(filer)}
	if err := c.CreateOnce(ctx, dir, proposal); err != nil {
		return nil, errors.Join(fmt.Errorf("claim %s: %w", s.root, err), c.Delete(context.WithoutCancel(ctx), dir, proposal.Name))
	}
	err := s.confirm(ctx, filer)
	if err = errors.Join(err, c.Delete(context.WithoutCancel(ctx), dir, proposal.Name)); err != nil {
		return nil, err
	}
	return s.take(filer), nil
}

// confirm makes a claim of a proposal, unless there is another one.
func (s *filersSeen) confirm(ctx context.Context, filer string) error {
	for f := range s.clients {
		if err := s.look(ctx, f); err != nil {
			return err
		}
	}
	dir := path.Join(s.root, claimsFolder)
	if all := named(s.claims, s.proposals); len(all) != 1 {
		return fmt.Errorf("another node wants %s to be written through another filer, of %v; if none is starting, delete %s* in %s",
			s.root, all, proposalPrefix, dir)
	}
	err := s.clients[filer].CreateOnce(ctx, dir, Entry{Name: filer, Content: []byte(filer)})
	if err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("claim %s: %w", s.root, err)
	}
	return nil
}

// follow goes to the filer that was claimed.
func (s *filersSeen) follow(ctx context.Context, claimed string) (*Client, error) {
	if s.clients[claimed] == nil {
		if a, err := ParseAddress(claimed); err == nil && !slices.Contains(s.filers, a) {
			if err := s.ask(ctx, a); err != nil {
				s.silent = errors.Join(s.silent, err)
			}
		}
	}
	there := s.clients[claimed] != nil
	switch {
	case s.pinned == "" || s.pinned == claimed:
		if !there {
			return nil, fmt.Errorf("%s is written through filer %s, which does not answer; if it is gone for good and another one has its "+
				"metadata store, end all nodes and name that one with filer=host:port: %w", s.root, claimed, s.silent)
		}
		return s.take(claimed), nil
	case there:
		return nil, fmt.Errorf("%w: %s is written through filer %s, and filer %s would not exclude what nodes write there: name %s or none",
			ErrUnsafe, s.root, claimed, s.pinned, claimed)
	case s.clients[s.pinned] == nil:
		return nil, fmt.Errorf("filer %s does not answer: %w", s.pinned, s.silent)
	case !slices.Contains(s.claims[s.pinned], claimed):
		return nil, fmt.Errorf("%w: filer %s does not hold %s, which is written through filer %s", ErrUnsafe, s.pinned, s.root, claimed)
	}
	// Somebody says that the claimed filer is gone, and so it seems.
	c, dir := s.clients[s.pinned], path.Join(s.root, claimsFolder)
	if err := c.Put(ctx, dir, Entry{Name: s.pinned, Content: []byte(s.pinned)}); err != nil {
		return nil, err
	}
	if err := c.Delete(ctx, dir, claimed); err != nil {
		return nil, err
	}
	return s.take(s.pinned), nil
}
