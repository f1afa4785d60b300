package topic

import "context"

// Clean does what time brings: it forgets silent producers and, where the topic's cleanup.policy
// says so, drops segments that are too old or too many. A segment goes as a whole, and the active
// one goes only by age.
func (p *Partition) Clean(ctx context.Context) error {
	nowMs := p.o.Now().UnixMilli()
	p.expireProducers(nowMs)
	config := p.o.Config()
	if config == nil || !config.Delete {
		return nil
	}
	shape := p.log.Shape()
	before := int64(-1)
	left := shape.Bytes
	for i, s := range shape.Segments {
		active := i == len(shape.Segments)-1
		old := config.RetentionMs >= 0 && s.MaxTimestampMs >= 0 && nowMs-s.MaxTimestampMs > config.RetentionMs
		large := config.RetentionBytes >= 0 && left-s.Bytes >= config.RetentionBytes && !active
		if !old && !large {
			break
		}
		left -= s.Bytes
		before = s.End
	}
	if before < 0 {
		return nil
	}
	if err := p.log.TrimBefore(ctx, before); err != nil {
		return err
	}
	p.txns.trim(before)
	return nil
}
