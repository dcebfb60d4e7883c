import Kernels
import Model

extension DetectionPostProcess {
    /// Which boxes are detections: the best of those that overlap, for each class by itself (regular) or by the best
    /// class of each box (fast). Equal scores: the box before comes first.
    struct Selection: Sendable {
        private let layer: Layer
        /// A heap of the boxes of one pass, and those of them that were chosen.
        private let order: Scratch
        private let chosen: Scratch
        /// Of each box the score that counts in a pass.
        private let scores: Scratch
        /// Fast: the best class of each box.
        private let labels: Scratch
        private let bestClass: GreatestPlace
        /// Regular: the best detections of the classes so far, box * classes + class, and those with one class more.
        private let best: Scratch

        private var options: Options { layer.options }
        /// Detections of one pass at most.
        private var limit: Int { min(layer.boxes, options.isRegular ? options.detectionsOfClass : options.maximum) }

        init(_ op: Preparation, _ layer: Layer) {
            self.layer = layer
            order = op.scratch(bytes: 4 * layer.boxes)
            scores = op.scratch(bytes: 4 * layer.boxes)
            let limit = min(
                layer.boxes, layer.options.isRegular ? layer.options.detectionsOfClass : layer.options.maximum)
            chosen = op.scratch(bytes: 4 * limit)
            labels = op.scratch(bytes: layer.options.isRegular ? 0 : 4 * layer.boxes)
            bestClass = GreatestPlace(
                .float32, least: false, rows: layer.boxes, count: layer.options.classes, stride: layer.columns,
                wide: false)
            best = op.scratch(bytes: layer.options.isRegular ? 8 * (layer.options.maximum + limit) : 0)
        }

        /// `corners`: of all boxes; `numbers`: [boxes, columns] scores.
        func run(_ io: borrowing Invocation, _ corners: Span<Float>, _ numbers: Scratch) {
            let scores = io.written(numbers, as: Float.self)
            for index in 0..<3 {
                var output = io.output(index, as: Float.self)
                for i in 0..<output.count { output[i] = 0 }
            }
            let found = options.isRegular ? regular(io, corners, scores) : fast(io, corners, numbers)
            var count = io.output(3, as: Float.self)
            count[0] = Float(found)
        }

        private func regular(_ io: borrowing Invocation, _ corners: Span<Float>, _ scores: Span<Float>) -> Int {
            var best = io.scratch(best, as: Int64.self)
            var count = 0
            for label in 0..<options.classes {
                var column = io.scratch(self.scores, as: Float.self)
                for box in 0..<layer.boxes {
                    column[box] = scores[box &* layer.columns &+ layer.background &+ label]
                }
                let added = suppress(io, corners)
                let chosen = io.written(self.chosen, as: Int32.self)
                for i in 0..<added { best[count &+ i] = Int64(chosen[i]) &* Int64(options.classes) &+ Int64(label) }
                // Those of the classes before come first among equals.
                for i in count..<count &+ added {
                    var place = i
                    let detection = best[i]
                    let value = score(scores, detection)
                    while place > 0, score(scores, best[place &- 1]) < value {
                        best[place] = best[place &- 1]
                        place &-= 1
                    }
                    best[place] = detection
                }
                count = min(count &+ added, options.maximum)
            }
            for place in 0..<count {
                let (box, label) = best[place].quotientAndRemainder(dividingBy: Int64(options.classes))
                write(io, place, Int(box), Int(label), corners, scores)
            }
            return count
        }

        private func fast(_ io: borrowing Invocation, _ corners: Span<Float>, _ numbers: Scratch) -> Int {
            var places = io.scratch(self.labels, as: UInt8.self)
            bestClass.run(io.written(numbers), from: layer.background, to: &places, pool: io.pool)
            let labels = io.written(self.labels, as: Int32.self)
            let scores = io.written(numbers, as: Float.self)
            var column = io.scratch(self.scores, as: Float.self)
            for box in 0..<layer.boxes { column[box] = score(scores, box, Int(labels[box])) }
            let count = suppress(io, corners)
            let chosen = io.written(self.chosen, as: Int32.self)
            for place in 0..<count {
                let box = Int(chosen[place])
                var label = Int(labels[box])
                for rank in 0..<min(options.classesOfBox, options.classes) {
                    if rank > 0 { label = next(scores, box, after: label) }
                    write(io, place &* options.classesOfBox &+ rank, box, label, corners, scores)
                }
            }
            return count
        }

        @inline(never)
        private func score(_ scores: Span<Float>, _ box: Int, _ label: Int) -> Float {
            scores[box &* layer.columns &+ layer.background &+ label]
        }

        private func score(_ scores: Span<Float>, _ detection: Int64) -> Float {
            let (box, label) = detection.quotientAndRemainder(dividingBy: Int64(options.classes))
            return score(scores, Int(box), Int(label))
        }

        /// The class of a box that follows a class in the order of scores.
        private func next(_ scores: Span<Float>, _ box: Int, after label: Int) -> Int {
            var found: Int?
            for candidate in 0..<options.classes where precedes(scores, box, label, candidate) {
                if let known = found, !precedes(scores, box, candidate, known) { continue }
                found = candidate
            }
            return found ?? 0
        }

        /// Whether class `a` comes before class `b`; NaN comes last.
        private func precedes(_ scores: Span<Float>, _ box: Int, _ a: Int, _ b: Int) -> Bool {
            let (x, y) = (score(scores, box, a), score(scores, box, b))
            if x > y || (y.isNaN && !x.isNaN) { return true }
            return x < y || (x.isNaN && !y.isNaN) ? false : a < b
        }

        private func write(
            _ io: borrowing Invocation, _ place: Int, _ box: Int, _ label: Int, _ corners: Span<Float>,
            _ scores: Span<Float>
        ) {
            var boxes = io.output(0, as: Float.self)
            var classes = io.output(1, as: Float.self)
            var values = io.output(2, as: Float.self)
            for i in 0..<4 { boxes[4 &* place &+ i] = corners[4 &* box &+ i] }
            classes[place] = Float(label)
            values[place] = score(scores, box, label)
        }

        // MARK: One pass

        /// Chooses boxes by the scores in `scores`; how many.
        private func suppress(_ io: borrowing Invocation, _ corners: Span<Float>) -> Int {
            let scores = io.written(self.scores, as: Float.self)
            var order = io.scratch(order, as: Int32.self)
            var chosen = io.scratch(chosen, as: Int32.self)
            var count = 0
            for box in 0..<layer.boxes where scores[box] >= options.scoreThreshold {
                order[count] = Int32(truncatingIfNeeded: box)
                count &+= 1
            }
            for i in stride(from: count / 2 - 1, through: 0, by: -1) { sink(&order, i, count, scores) }
            var found = 0
            while count > 0, found < limit {
                let box = order[0]
                count &-= 1
                order[0] = order[count]
                sink(&order, 0, count, scores)
                var isCovered = false
                for other in 0..<found
                where overlap(corners, Int(chosen[other]), Int(box)) > options.overlapThreshold {
                    isCovered = true
                    break
                }
                guard !isCovered else { continue }
                chosen[found] = box
                found &+= 1
            }
            return found
        }

        /// Restores the heap of `size` boxes below a place: no box comes after those below it, the first is the root.
        /// Most are never taken from it, which is why nothing is sorted.
        private func sink(_ order: inout MutableSpan<Int32>, _ from: Int, _ size: Int, _ scores: Span<Float>) {
            func precedes(_ a: Int32, _ b: Int32) -> Bool {
                let (x, y) = (scores[Int(a)], scores[Int(b)])
                return x > y || (x == y && a < b)
            }
            var parent = from
            while 2 &* parent &+ 1 < size {
                var child = 2 &* parent &+ 1
                if child &+ 1 < size, precedes(order[child &+ 1], order[child]) { child &+= 1 }
                guard precedes(order[child], order[parent]) else { return }
                order.swapAt(parent, child)
                parent = child
            }
        }

        /// Area of the intersection divided by that of the union; 0 where a box is empty.
        private func overlap(_ corners: Span<Float>, _ a: Int, _ b: Int) -> Float {
            let (i, j) = (4 &* a, 4 &* b)
            let first = (corners[i &+ 2] - corners[i]) * (corners[i &+ 3] - corners[i &+ 1])
            let second = (corners[j &+ 2] - corners[j]) * (corners[j &+ 3] - corners[j &+ 1])
            guard !(first <= 0), !(second <= 0) else { return 0 }
            let height = min(corners[i &+ 2], corners[j &+ 2]) - max(corners[i], corners[j])
            let width = min(corners[i &+ 3], corners[j &+ 3]) - max(corners[i &+ 1], corners[j &+ 1])
            let common = max(height, 0) * max(width, 0)
            return common / (first + second - common)
        }
    }
}
