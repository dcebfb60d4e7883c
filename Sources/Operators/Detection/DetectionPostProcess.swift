import Kernels
import Model

/// The custom operator TFLite_Detection_PostProcess, which ends SSD detectors (Liu et al., 2016): boxes relative to
/// anchors become corners, and those that overlap a better one of their class are left out. Inputs: encoded boxes
/// [1, boxes, 4 or more] (y, x, height, width), scores [1, boxes, classes, maybe with a background class before them],
/// anchors [boxes, 4]; float32, uint8 or int8. Outputs, float32: boxes (top, left, bottom, right), classes, scores, how
/// many there are; what is beyond that is 0.
enum DetectionPostProcess {
    static let name = "TFLite_Detection_PostProcess"

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1) { op throws(Failure) in
            let options = try Options(op)
            let boxes = try op.checked([1, options.places, 4])
            return [boxes, [1, options.places], [1, options.places], [1]]
        } prepare: { op throws(Failure) in
            let layer = try Layer(op)
            let decoded = op.scratch(bytes: 16 * layer.boxes)
            let real = [layer.boxes * layer.length, layer.boxes * layer.columns, layer.boxes * 4].map {
                op.scratch(bytes: 4 * $0)
            }
            let selection = Selection(op, layer)
            return { io throws(Failure) in
                for numbers in layer.inputs { numbers.copy(io, to: real[numbers.input]) }
                var corners = io.scratch(decoded, as: Float.self)
                try layer.decode(io.written(real[0]), io.written(real[2]), &corners)
                selection.run(io, corners.span, real[1])
            }
        }
    }

    struct Options: Sendable {
        let maximum: Int
        let classesOfBox: Int
        let detectionsOfClass: Int
        let classes: Int
        let isRegular: Bool
        let scoreThreshold: Float
        let overlapThreshold: Float
        /// Of y, x, height, width.
        let scales: [Double]

        /// Detections for which there is room.
        var places: Int { maximum * classesOfBox }

        init(_ op: ShapeInference) throws(Failure) {
            guard let map = op.customOptions.flatMap({ FlexBufferMap($0) }) else {
                throw op.invalid("its options are no FlexBuffers map")
            }
            func number(_ name: StaticString, _ missing: Double = 0) -> Double { map.number(name) ?? missing }
            func count(_ name: StaticString, _ missing: Double = 0) throws(Failure) -> Int {
                let value = number(name, missing)
                guard value >= 0, value <= 0x1p20 else {
                    throw op.invalid("option \(Sentence(stringLiteral: name)) is \(value), expected 0 to 2^20")
                }
                return Int(value)
            }
            maximum = try count("max_detections")
            classesOfBox = try count("max_classes_per_detection")
            detectionsOfClass = try count("detections_per_class", 100)
            classes = try count("num_classes")
            isRegular = number("use_regular_nms") != 0
            scoreThreshold = Float(number("nms_score_threshold"))
            overlapThreshold = Float(number("nms_iou_threshold"))
            scales = [number("y_scale"), number("x_scale"), number("h_scale"), number("w_scale")]
            guard overlapThreshold > 0, overlapThreshold <= 1, classesOfBox > 0, !isRegular || detectionsOfClass > 0
            else {
                throw op.invalid(
                    "overlap threshold \(overlapThreshold), expected above 0 up to 1; detections and classes: at least 1"
                )
            }
        }
    }

    /// Numbers of an input, whatever its type.
    struct Numbers: Sendable {
        let input: Int
        let type: TensorType
        let scale: Float
        let zero: Int

        init(_ op: Preparation, _ input: Int) throws(Failure) {
            let tensor = try op.input(input)
            (self.input, type) = (input, tensor.type)
            guard type != .float32 else {
                (scale, zero) = (1, 0)
                return
            }
            guard type == .uint8 || type == .int8 else { throw op.unsupportedTypes() }
            let affine = try op.affine(tensor)
            (scale, zero) = (affine.scale, affine.zeroPoint)
        }

        @inline(never)
        func copy(_ io: borrowing Invocation, to scratch: Scratch) {
            var real = io.scratch(scratch, as: Float.self)
            guard type == .float32 else {
                return Conversion.dequantize(
                    bytes: io.input(input), signed: type == .int8, &real, scale: scale, zeroPoint: zero, pool: io.pool)
            }
            var bytes = io.scratch(scratch, as: UInt8.self)
            copyBytes(io.input(input), at: 0, to: &bytes, at: 0, count: bytes.count)
        }
    }

    struct Layer: Sendable {
        let options: Options
        let boxes: Int
        /// Numbers of an encoded box; the first four count.
        let length: Int
        /// Scores of a box, of which the first belongs to the background if there is one more than classes.
        let columns: Int
        /// Encodings, scores, anchors.
        private(set) var inputs: [Numbers] = []

        var background: Int { columns - options.classes }

        init(_ op: Preparation) throws(Failure) {
            options = try Options(op.inference)
            let (x, y) = (try op.input(0), try op.input(1))
            guard x.rank == 3, x.shape[0] == 1, x.shape[2] >= 4, y.rank == 3, x.shape[1] < Int(Int32.max),
                y.shape.dropLast() == x.shape.dropLast()
            else { throw op.invalid("\(x.described) and \(y.described) do not go together") }
            try op.require(2, count: 4 * x.shape[1])
            (boxes, length, columns) = (x.shape[1], x.shape[2], y.shape[2])
            guard options.classes > 0, (0...1).contains(columns - options.classes) else {
                throw op.invalid("\(y.described) has no scores for \(options.classes) classes")
            }
            for input in 0..<3 { inputs.append(try Numbers(op, input)) }
            guard op.outputs.count == 4, op.outputs.allSatisfy({ $0.type == .float32 }) else {
                throw op.unsupportedTypes()
            }
        }

        /// Corners of all boxes: center = encoding / scale * anchor's size + anchor's center, size = exp(encoding / scale)
        /// * anchor's size.
        func decode(
            _ encodings: Span<Float>, _ anchors: Span<Float>, _ corners: inout MutableSpan<Float>
        ) throws(Failure) {
            for box in 0..<boxes {
                for axis in 0..<2 {
                    let anchor = Double(anchors[box &* 4 &+ axis])
                    let size = Double(anchors[box &* 4 &+ axis &+ 2])
                    let offset = Double(encodings[box &* length &+ axis]) / options.scales[axis]
                    let growth = Double(encodings[box &* length &+ axis &+ 2]) / options.scales[axis + 2]
                    let (center, half) = (Float(offset * size + anchor), Float(0.5 * Real.exp(growth) * size))
                    corners[box &* 4 &+ axis] = center - half
                    corners[box &* 4 &+ axis &+ 2] = center + half
                    guard !(center - half > center + half) else {
                        throw .execution("\(name): box \(box) ends before it begins: its anchor has size \(size)")
                    }
                }
            }
        }
    }
}
