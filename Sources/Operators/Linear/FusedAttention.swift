import Kernels
import Model

/// The matrices of a tensor, perhaps under another order of its dimensions: floats from element to element.
package struct MatrixView: Sendable {
    package private(set) var shape: [Int]
    private(set) var strides: [Int]

    package init(_ tensor: TensorInfo) { (shape, strides) = (tensor.shape, rowMajorStrides(tensor.shape)) }

    /// Dimension d is what dimension order[d] was.
    package func transposed(_ order: [Int]) -> MatrixView {
        var view = self
        (view.shape, view.strides) = (order.map { shape[$0] }, order.map { strides[$0] })
        return view
    }

    /// Rows and columns exchanged.
    package var adjoint: MatrixView {
        var order = Array(shape.indices)
        order.swapAt(order.count - 1, order.count - 2)
        return transposed(order)
    }

    var rows: Int { shape[shape.count - 2] }
    var columns: Int { shape[shape.count - 1] }
    /// A step along a dimension of one element leads nowhere.
    var steps: Attention.Steps {
        .init(row: strides[strides.count - 2], column: columns == 1 ? 1 : strides[strides.count - 1])
    }

    /// Where matrix `index` of a batch of `batch` begins; dimensions of one element are repeated.
    func start(_ index: Int, _ batch: [Int]) -> Int {
        var (rest, start) = (index, 0)
        for axis in batch.indices.reversed() {
            let own = axis - batch.count + shape.count - 2
            if own >= 0, shape[own] != 1 { start += rest % batch[axis] * strides[own] }
            rest /= batch[axis]
        }
        return start
    }
}

/// BATCH_MATMUL, perhaps a product with a number and the sum with a mask, SOFTMAX and BATCH_MATMUL as one operator in
/// float32, with the transpositions around them. Inputs: 0 q, 1 k, 2 v, 3 the mask, if there is one. The softmax divides
/// after the second product, so results differ from those of the operators by rounding.
package struct FusedAttention: Sendable {
    private var geometry = Attention.Geometry()
    private var heads: [Attention.Head] = []

    /// softmax(scale q k + mask) v, the views [.., rows, depth], [.., depth, keys], [.., keys, width], [.., rows, keys]
    /// and the result's [.., rows, width]. nil: they do not go together, or their columns do not lie side by side.
    package init?(
        q: MatrixView, k: MatrixView, v: MatrixView, mask: MatrixView?, scale: Float, output: MatrixView
    ) {
        let views = [q, k, v, output] + (mask.map { [$0] } ?? [])
        let batch = [Int](output.shape.dropLast(2))
        guard views.allSatisfy({ $0.shape.count >= 2 && $0.shape.count <= output.shape.count }), scale.isFinite,
            views.allSatisfy({ broadcast([Int]($0.shape.dropLast(2)), batch) == batch }),
            q.columns == k.rows, k.columns == v.rows, output.rows == q.rows, output.columns == v.columns
        else { return nil }
        geometry.rows = q.rows
        (geometry.depth, geometry.keys, geometry.width) = (q.columns, k.columns, v.columns)
        (geometry.q, geometry.k, geometry.v, geometry.output) = (q.steps, k.steps, v.steps, output.steps)
        geometry.scale = scale
        if let mask {
            guard mask.columns == k.columns, mask.rows == 1 || mask.rows == q.rows else { return nil }
            geometry.mask = .init(row: mask.rows == 1 ? 0 : mask.steps.row, column: mask.steps.column)
        }
        for index in 0..<batch.reduce(1, *) {
            heads.append(
                .init(
                    q: q.start(index, batch), k: k.start(index, batch), v: v.start(index, batch),
                    mask: mask?.start(index, batch) ?? 0, output: output.start(index, batch)))
        }
        guard Attention(geometry, heads: heads, threads: 1) != nil else { return nil }
    }

    package var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: "ATTENTION", maxVersion: 1) { op throws(Failure) in
            op.statedOutputShapes
        } prepare: { op throws(Failure) in
            guard let attention = Attention(geometry, heads: heads, threads: op.threadCount) else {
                throw op.unsupportedTypes()
            }
            op.kernelName = attention.kernelName
            let scratch = op.scratch(bytes: attention.scratchByteCount)
            let mask = geometry.mask == nil ? 0 : 3
            return { io throws(Failure) in
                var y = io.output(as: Float.self)
                var workspace = io.scratch(scratch, as: UInt8.self)
                attention.run(
                    io.input(0), io.input(1), io.input(2), mask: io.input(mask), &y, scratch: &workspace, pool: io.pool)
            }
        }
    }
}
