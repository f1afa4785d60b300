package node

import "github.com/prometheus/client_golang/prometheus"

// countRemembered shows what partitions remember of their clients, which has limits of its own.
func (n *Node) countRemembered(r prometheus.Registerer) {
	gauge := func(name, help string, value func() int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "kelp", Subsystem: "partitions", Name: name, Help: help},
			func() float64 { return float64(value()) })
	}
	r.MustRegister(
		gauge("producers", "Producers that all partitions remember (limit: max-total-producers).", func() int64 {
			producers, _ := n.topics.Remembered()
			return producers
		}),
		gauge("aborted_transactions", "Aborted transactions whose records are still kept (limit: max-aborted-transactions).", func() int64 {
			_, aborted := n.topics.Remembered()
			return aborted
		}),
	)
}
