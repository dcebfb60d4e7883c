import Kernels
import Model
import Runtime
import Testing

@testable import Operators
@testable import Training

extension Evaluation {
    /// Evaluates the operator. Where it is differentiable and gets float32 values, its gradient is compared with
    /// differences of the same evaluation: every case of every table is a case of the gradient too.
    func checked(_ inputs: [TensorInfo?], outputs: [TensorInfo]) throws -> [TensorInfo]? {
        guard let results = try evaluate(inputs, outputs: outputs) else { return nil }
        // Weights that are quantized are not trained.
        let isFloat =
            inputs.contains { $0?.type == .float32 }
            && inputs.allSatisfy { ($0?.type.bits ?? 32) != 8 || $0?.type == .bool }
            && inputs.allSatisfy { $0?.quantization == nil } && results.contains { $0.type == .float32 }
        let elements = (inputs.map { $0?.count ?? 0 } + results.map { $0.count }).reduce(0, +)
        if definition.gradient != nil, arithmetic == .fast, isFloat, elements < 20_000 {
            var check = try GradientCheck(self, inputs, results)
            try check.check()
        }
        return results
    }
}

/// <u, J v> by central differences against <Jt u, v> by the gradient, for random directions v (and, of few inputs, every
/// single one) and random weights u of the outputs. Outputs at whose place the function has a kink are left out (u = 0):
/// there the differences to both sides do not agree.
private struct GradientCheck {
    let label: String
    let forward: Interpreter
    let backward: Interpreter
    /// Of each float input its values and its place among the gradients; nil: it has no gradient.
    var values: [[Float]] = []
    let gradients: [Int?]
    let outputCounts: [Int]
    var random = SplitMix(state: 7)

    init(_ evaluation: Evaluation, _ inputs: [TensorInfo?], _ results: [TensorInfo]) throws {
        let definition = evaluation.definition
        var model = Model()
        model.subgraphs = [Subgraph()]
        var floats: [Int] = []
        var operands: [Int] = []
        for input in inputs {
            guard let input else {
                operands.append(-1)
                continue
            }
            var tensor = Tensor(name: "input", type: input.type, shape: input.shape)
            tensor.quantization = input.quantization
            if input.type == .float32, let data = input.constant {
                floats.append(operands.count)
                values.append(Array(data.array(of: Float.self).prefix(input.count)))
            } else {
                model.buffers.append(Buffer(input.constant))
                tensor.buffer = model.buffers.count - 1
            }
            operands.append(model.subgraphs[0].tensors.count)
            model.subgraphs[0].tensors.append(tensor)
        }
        let parameters = floats.map { operands[$0] }
        model.subgraphs[0].inputs = parameters
        let graph = GraphEmitter(model)
        var outputs: [Value] = []
        for result in results {
            var tensor = Tensor(name: "output", type: result.type, shape: result.shape)
            tensor.quantization = result.quantization
            outputs.append(graph.add(tensor))
        }
        graph.append(
            OperatorCode(definition.code, custom: definition.custom, version: evaluation.version), inputs: operands,
            outputs: outputs.map { $0.tensor }, evaluation.options, evaluation.customOptions)
        var options = Interpreter.Options()
        options.threadCount = evaluation.pool.threadCount
        var simple = graph.model
        let real = outputs.filter { $0.type == .float32 }
        simple.subgraphs[0].outputs = real.map { $0.tensor }
        forward = try Interpreter(try LoadedModel(simple), options)
        // The loss: all outputs, each weighted by a further input.
        var weights: [Int] = []
        var loss: Value?
        for output in real {
            let weight = graph.add(Tensor(name: "weight", type: .float32, shape: output.shape))
            weights.append(weight.tensor)
            let part = try (output * weight).sum(Array(output.shape.indices), keep: false)
            loss = if let known = loss { try known + part } else { part }
        }
        var complete = graph.model
        complete.subgraphs[0].inputs += weights
        complete.subgraphs[0].outputs = []
        let (model2, gradients) = try complete.appendingGradients(
            of: try #require(loss).tensor, withRespectTo: parameters)
        var place = 0
        self.gradients = gradients.map { gradient in
            guard gradient != nil else { return nil }
            place += 1
            return place - 1
        }
        var final = model2
        // A gradient that is 0 everywhere leaves no output.
        if place == 0 { final.subgraphs[0].outputs = [try #require(loss).tensor] }
        backward = try Interpreter(try LoadedModel(final), options)
        outputCounts = real.map { $0.count }
        label = "\(definition.code.name) \(inputs.map { $0?.shape ?? [] }) \(evaluation.options.fields)"
        for index in values.indices {
            // Some cases count in the bits of their elements.
            let isTiny = values[index].allSatisfy { abs($0) < 1e-20 }
            for element in values[index].indices {
                let factor = Float(0.95 + 0.1 * random.unit())
                values[index][element] = isTiny ? Float(2 * random.unit() - 1) : values[index][element] * factor
            }
        }
    }

    mutating func check() throws {
        let sizes = values.map { values in Double(values.map { abs($0) }.max() ?? 1) }.map { $0 > 0 ? $0 : 1 }
        let few = values.reduce(0) { $0 + $1.count } <= 12
        for round in 0..<3 {
            let direction = values.indices.map { index in values[index].map { _ in sizes[index] * signed() } }
            try compare(direction, aligned: round > 0)
        }
        guard few else { return }
        for index in values.indices {
            for element in values[index].indices {
                var direction = values.map { $0.map { _ in 0.0 } }
                direction[index][element] = sizes[index]
                try compare(direction, aligned: true)
            }
        }
    }

    /// In 0.5...1.5, with both signs.
    private mutating func signed() -> Double {
        let value = random.unit() * 2 - 1
        return value < 0 ? value - 0.5 : value + 0.5
    }

    private mutating func compare(_ direction: [[Double]], aligned: Bool) throws {
        let step = 0.002
        let here = try outputs(0, direction)
        let (ahead, behind) = (try outputs(step, direction), try outputs(-step, direction))
        let (near, nearBehind) = (try outputs(step / 2, direction), try outputs(-step / 2, direction))
        var weights: [[Float]] = []
        var isEverywhereFinite = true
        var (expected, magnitude, noise) = (0.0, 0.0, 0.0)
        for index in here.indices {
            let slopes = here[index].indices.map { (ahead[index][$0] - behind[index][$0]) / (2 * step) }
            let steepest = slopes.reduce(0) { $1.isFinite ? max($0, abs($1)) : $0 }
            let largest = here[index].reduce(0) { $1.isFinite ? max($0, abs($1)) : $0 }
            var row: [Float] = []
            for element in slopes.indices {
                let bend = (ahead[index][element] - 2 * here[index][element] + behind[index][element]) / step
                let change = (near[index][element] - nearBehind[index][element]) / step - slopes[element]
                let rounding = 3e-7 * largest / step
                let isSmooth =
                    slopes[element].isFinite
                    && max(abs(bend), abs(change)) <= 0.03 * abs(slopes[element]) + 0.01 * steepest + 4 * rounding
                isEverywhereFinite = isEverywhereFinite && slopes[element].isFinite
                var weight = signed()
                if aligned { weight = abs(weight) * (slopes[element] < 0 ? -1 : 1) }
                row.append(isSmooth ? Float(weight) : 0)
                guard isSmooth else { continue }
                expected += Double(row[element]) * slopes[element]
                magnitude += abs(Double(row[element]) * slopes[element])
                noise += rounding * rounding
            }
            weights.append(row)
        }
        let found = try product(direction, weights, isEverywhereFinite: isEverywhereFinite)
        let tolerance = 3e-3 * magnitude + 4 * noise.squareRoot() + 1e-9
        if !(abs(found - expected) <= tolerance) {
            Issue.record("\(label): the gradient gives \(found), differences give \(expected) +- \(tolerance)")
        }
    }

    /// The outputs at a place along a direction.
    private func outputs(_ step: Double, _ direction: [[Double]]) throws -> [[Double]] {
        for index in values.indices {
            try forward.inputTensor(index).write(
                zip(values[index], direction[index]).map { Float(Double($0) + step * $1) })
        }
        try forward.invoke()
        return try outputCounts.indices.map { try forward.outputTensor($0).read().map { Double($0) } }
    }

    /// The gradient of the weighted outputs times a direction.
    private func product(
        _ direction: [[Double]], _ weights: [[Float]], isEverywhereFinite: Bool
    ) throws -> Double {
        for index in values.indices { try backward.inputTensor(index).write(values[index]) }
        for index in weights.indices { try backward.inputTensor(values.count + index).write(weights[index]) }
        try backward.invoke()
        var sum = 0.0
        for index in values.indices {
            guard let place = gradients[index] else { continue }
            for (gradient, part) in zip(try backward.outputTensor(place).read(), direction[index]) {
                // Nothing times an infinite slope.
                if gradient.isFinite || isEverywhereFinite { sum += Double(gradient) * part }
            }
        }
        return sum
    }
}

extension LiveTensor {
    func read() -> [Float] {
        data.map { Array(UnsafeBufferPointer(start: $0.assumingMemoryBound(to: Float.self), count: byteCount / 4)) }
            ?? []
    }

    func write(_ values: [Float]) {
        values.withUnsafeBytes { source in
            data?.copyMemory(from: source.baseAddress!, byteCount: min(source.count, byteCount))
        }
    }
}
