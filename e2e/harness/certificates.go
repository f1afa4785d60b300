package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The keys of the tokens in what Certificates returns.
const (
	WriteKey = "write-key-of-the-tests"
	ReadKey  = "read-key-of-the-tests"
)

// Certificates makes an authority and a certificate for 127.0.0.1 in dir (ca.pem, cert.pem, key.pem) and returns a
// security.toml that asks for both everywhere, and for tokens.
func Certificates(tb testing.TB, dir string) string {
	tb.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of the tests"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	ca, caKey := sign(tb, authority, nil, nil)
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "seaweedfs"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, key := sign(tb, server, authority, caKey)
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: ca}, "cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "EC PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	toml := fmt.Sprintf("[grpc]\nca = %q\n", at("ca.pem"))
	for _, part := range []string{"grpc.master", "grpc.volume", "grpc.filer", "grpc.client", "https.volume", "https.client"} {
		toml += fmt.Sprintf("[%s]\ncert = %q\nkey = %q\n", part, at("cert.pem"), at("key.pem"))
		switch part {
		case "https.volume":
			toml += fmt.Sprintf("ca = %q\n", at("ca.pem"))
		case "https.client":
			toml += fmt.Sprintf("enabled = true\nca = %q\n", at("ca.pem"))
		}
	}
	return toml + fmt.Sprintf("[jwt.signing]\nkey = %q\n[jwt.signing.read]\nkey = %q\n[jwt.filer_signing]\nkey = %q\n[jwt.filer_signing.read]\nkey = %q\n",
		WriteKey, ReadKey, "filer-"+WriteKey, "filer-"+ReadKey)
}

func sign(tb testing.TB, c, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	if parent == nil {
		parent, parentKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
	if err != nil {
		tb.Fatal(err)
	}
	return der, key
}
