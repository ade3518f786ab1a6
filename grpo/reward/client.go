package reward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A client posts JSON to one address, through a gate.
type client struct {
	*gate
	url    string
	header http.Header
	http   *http.Client
}

const maxRedirects = 3

func newClient(address, key string, p Policy) (*client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("reward: the address %s of a service is not http://HOST or https://HOST without user and password", quote(address))
	}
	g, err := newGate(p)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{Proxy: http.ProxyFromEnvironment}
	if d, ok := http.DefaultTransport.(*http.Transport); ok {
		t = d.Clone()
	}
	t.DisableCompression = true // what a reply takes in memory is what was sent
	t.MaxResponseHeaderBytes = 64 << 10
	t.MaxIdleConnsPerHost = g.Concurrency
	c := &client{gate: g, url: u.String(), header: http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}}
	if key != "" {
		if strings.ContainsAny(key, "\r\n") {
			return nil, errors.New("reward: the key of a service has more than one line")
		}
		c.header.Set("Authorization", "Bearer "+key)
	}
	c.http = &http.Client{Transport: t, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme {
			return failf(Refused, false, "a redirect to another host, %s", quote(r.URL.Host))
		}
		if len(via) > maxRedirects {
			return failf(Refused, false, "more than %d redirects", maxRedirects)
		}
		return nil
	}}
	return c, nil
}

// Close gives the connections back. Calls under way are finished.
func (c *client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// post sends body and has the reply parsed, which returns the tokens that the call took.
func (c *client) post(ctx context.Context, body []byte, parse func(reply []byte) (tokens int64, err error)) error {
	return c.do(ctx, func(ctx context.Context) (int64, error) {
		reply, err := c.once(ctx, body)
		if err != nil {
			return 0, err
		}
		tokens, err := parse(reply)
		if _, known := errors.AsType[*callError](err); err != nil && !known {
			err = failf(BadReply, true, "%w", err)
		}
		return tokens, err
	})
}

func (c *client) once(ctx context.Context, body []byte) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, failf(Refused, false, "%w", err)
	}
	q.Header = c.header.Clone()
	r, err := c.http.Do(q)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok { // without the address, which is the same always
			err = e.Err
		}
		return nil, err
	}
	defer r.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(r.Body, c.MaxReply+1))
	switch {
	case err != nil:
		return nil, err
	case r.StatusCode < 200 || r.StatusCode > 299:
		return nil, statusError(r, reply, c.clock.Now())
	case int64(len(reply)) > c.MaxReply:
		return nil, failf(BadReply, false, "a reply of more than %d bytes", c.MaxReply)
	}
	return reply, nil
}

func statusError(r *http.Response, reply []byte, now time.Time) error {
	e := failf(Refused, false, "status %d: %s", r.StatusCode, quote(strings.TrimSpace(string(reply[:min(len(reply), 512)]))))
	switch {
	case r.StatusCode == http.StatusTooManyRequests:
		e.kind, e.retry = Busy, true
	case r.StatusCode >= 500:
		e.kind, e.retry = ServerError, r.StatusCode != http.StatusNotImplemented
	case r.StatusCode == http.StatusRequestTimeout || r.StatusCode == http.StatusTooEarly:
		e.retry = true
	}
	if e.retry {
		e.after = retryAfter(r.Header, now)
	}
	return e
}
