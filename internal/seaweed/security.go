package seaweed

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Security is how a SeaweedFS wants to be spoken to. The zero value is plain text without tokens.
type Security struct {
	// GRPC is used to masters and filers. SeaweedFS's certificates name no hosts: the chain is
	// verified, the host name is not.
	GRPC *tls.Config
	// HTTPS is used to volume servers.
	HTTPS *tls.Config
	// WriteKey and ReadKey sign the tokens of volume servers (jwt.signing.key and
	// jwt.signing.read.key). Without the first, the tokens are used that come with file ids.
	WriteKey, ReadKey []byte
}

// Keys are the settings that Security is made of, in the words of security.toml.
type Keys struct {
	CA, Cert, Key                string // grpc.ca, grpc.client.cert, grpc.client.key
	HTTPS                        bool   // https.client.enabled
	HTTPSCA, HTTPSCert, HTTPSKey string // https.client.ca, .cert, .key
	SkipVerify                   bool   // https.client.insecure_skip_verify
	SigningKey, ReadSigningKey   string // jwt.signing.key, jwt.signing.read.key
}

// SecurityFile finds security.toml where SeaweedFS's own tools look for it; empty when there is none.
func SecurityFile() string {
	places := []string{".", "/etc/seaweedfs"}
	if home, err := os.UserHomeDir(); err == nil {
		places = []string{".", filepath.Join(home, ".seaweedfs"), "/etc/seaweedfs"}
	}
	for _, dir := range places {
		file := filepath.Join(dir, "security.toml")
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return file
		}
	}
	return ""
}

// ReadKeys reads a security.toml; no file is one without keys. An environment variable such as
// WEED_JWT_SIGNING_KEY beats the file, as in SeaweedFS.
func ReadKeys(file string, env func(string) (string, bool)) (k Keys, err error) {
	tree := map[string]any{}
	if file != "" {
		if _, err := toml.DecodeFile(file, &tree); err != nil {
			return k, fmt.Errorf("security file: %w", err)
		}
	}
	get := func(key string) string {
		if v, ok := env("WEED_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))); ok {
			return v
		}
		var at any = tree
		for part := range strings.SplitSeq(key, ".") {
			table, _ := at.(map[string]any)
			at = table[part]
		}
		if at == nil {
			return ""
		}
		return fmt.Sprint(at)
	}
	yes := func(key string) bool { return strings.EqualFold(get(key), "true") }
	k = Keys{
		CA: get("grpc.ca"), Cert: get("grpc.client.cert"), Key: get("grpc.client.key"),
		HTTPS: yes("https.client.enabled"), HTTPSCA: get("https.client.ca"),
		HTTPSCert: get("https.client.cert"), HTTPSKey: get("https.client.key"),
		SkipVerify: yes("https.client.insecure_skip_verify"),
		SigningKey: get("jwt.signing.key"), ReadSigningKey: get("jwt.signing.read.key"),
	}
	return k, nil
}

// Load reads the certificates. What cannot be used is an error and never a fall back to plain text.
func (k Keys) Load() (s Security, err error) {
	s.WriteKey, s.ReadKey = []byte(k.SigningKey), []byte(k.ReadSigningKey)
	if k.CA != "" || k.Cert != "" || k.Key != "" {
		if k.CA == "" || k.Cert == "" || k.Key == "" {
			return s, errors.New("SeaweedFS's gRPC needs all three of authority, certificate and key (grpc.ca, grpc.client.cert, grpc.client.key)")
		}
		if s.GRPC, err = tlsConfig(k.CA, k.Cert, k.Key); err != nil {
			return s, err
		}
		chainOnly(s.GRPC)
	}
	if k.HTTPS {
		if s.HTTPS, err = tlsConfig(k.HTTPSCA, k.HTTPSCert, k.HTTPSKey); err != nil {
			return s, err
		}
		s.HTTPS.InsecureSkipVerify = k.SkipVerify
	}
	return s, nil
}

func tlsConfig(ca, cert, key string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", ca)
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// chainOnly verifies that an authority of ours vouches for a server, whatever its name.
func chainOnly(c *tls.Config) {
	c.InsecureSkipVerify = true // only the standard check, which wants a host name
	c.VerifyConnection = func(state tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, cert := range state.PeerCertificates[1:] {
			between.AddCert(cert)
		}
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: c.RootCAs, Intermediates: between})
		return err
	}
}

// tokenTime is how long a token that we sign is valid, as long as those of SeaweedFS.
const tokenTime = 10 * time.Second

// token lets its bearer read or write one file id.
func token(key []byte, fileID string, now time.Time) string {
	fileID, _, _ = strings.Cut(fileID, "_") // one of several ids that were assigned together
	claims, _ := json.Marshal(map[string]any{"fid": fileID, "exp": now.Add(tokenTime).Unix()})
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
