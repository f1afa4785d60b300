package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
)

// LogDir is the folder where records lie. Sizes are in bytes, -1 where they are not known.
type LogDir struct {
	Path                    string
	TotalBytes, UsableBytes int64
}

// DescribeLogDirs: v0-5
//
// Behavior: one folder with the stored size of each partition asked; null topics are all.
//
// Version notes: v4 size of the volume. v5 cordoned: never.
func (h *records) describeLogDirs(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.DescribeLogDirsRequest)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		resp := req.ResponseKind().(*kmsg.DescribeLogDirsResponse)
		dir := kmsg.NewDescribeLogDirsResponseDir()
		where := h.logDir()
		dir.Dir, dir.TotalBytes, dir.UsableBytes = where.Path, where.TotalBytes, where.UsableBytes
		for topic, partitions := range sizesAsked(h.catalog.Image(), req) {
			out := kmsg.NewDescribeLogDirsResponseDirTopic()
			out.Topic = topic.Name
			for _, index := range partitions {
				part, err := h.partitions.Get(ctx, partitionOf(topic, index))
				if err != nil {
					return nil, err
				}
				p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
				p.Partition, p.Size = index, part.Bytes()
				out.Partitions = append(out.Partitions, p)
			}
			dir.Topics = append(dir.Topics, out)
		}
		resp.Dirs = append(resp.Dirs, dir)
		return resp, nil
	})
}

// sizesAsked gives the partitions that exist among those asked for.
func sizesAsked(img *cluster.Image, req *kmsg.DescribeLogDirsRequest) func(func(cluster.Topic, []int32) bool) {
	return func(yield func(cluster.Topic, []int32) bool) {
		if req.Topics == nil {
			for _, t := range img.ByName {
				all := make([]int32, t.Partitions)
				for i := range all {
					all[i] = int32(i)
				}
				if !yield(t, all) {
					return
				}
			}
		}
		for _, asked := range req.Topics {
			t := img.ByName[asked.Topic]
			var there []int32
			for _, index := range asked.Partitions {
				if index >= 0 && index < t.Partitions {
					there = append(there, index)
				}
			}
			if len(there) > 0 && !yield(t, there) {
				return
			}
		}
	}
}

func refuseDescribeLogDirs(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	resp.ErrorCode, _ = codeOf(err)
	return resp
}
