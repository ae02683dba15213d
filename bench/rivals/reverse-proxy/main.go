// Go's own reverse proxy, as its documentation shows it: one process, one thread running Go code at a time (GOMAXPROCS=1 in
// its environment), connections to the upstream kept, no log.
package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

func main() {
	upstream, err := url.Parse("http://" + os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(upstream)
			request.Out.Host = request.In.Host
		},
		// The default keeps two connections and would open a new one for most requests.
		Transport: &http.Transport{MaxIdleConns: 1000, MaxIdleConnsPerHost: 1000, DisableCompression: true},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	log.Fatal(http.ListenAndServe(os.Args[1], proxy))
}
