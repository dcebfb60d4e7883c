import CEdgeOpt
import Compression
import Model

/// The values of a constant, or a failure that says why it has none.
private func values(
    _ model: Model, _ subgraph: Int32, _ tensor: Int32
) throws(Failure) -> WeightValues {
    guard model.subgraphs.indices.contains(Int(subgraph)),
        model.subgraphs[Int(subgraph)].tensors.indices.contains(Int(tensor))
    else { throw .outOfRange("\(model.origin): there is no tensor \(tensor) in a subgraph \(subgraph)") }
    guard let values = WeightValues(model, Int(subgraph), Int(tensor)) else {
        let found = model.subgraphs[Int(subgraph)].tensors[Int(tensor)]
        throw .unsupported(
            "\(model.origin): tensor '\(found.name)' (\(found.type.name)) is no constant of numbers of at most 32 bits")
    }
    return values
}

@c @implementation
public func eo_model_weight_statistics(
    _ model: OpaquePointer!, _ subgraph: Int32, _ tensor: Int32,
    _ statistics: UnsafeMutablePointer<eo_weight_statistics>!
) -> eo_status {
    call { () throws(Failure) in
        let place = try unsafe argument(statistics, "statistics")
        let source: ModelHandle = try unsafe object(model, "model")
        let found = WeightStatistics(try values(source.model, subgraph, tensor))
        var result = eo_weight_statistics()
        result.is_weight = source.model.isWeight(Int(subgraph), Int(tensor))
        result.elements = Int64(found.elements)
        result.zeros = Int64(found.zeros)
        result.distinct = Int64(found.distinct)
        result.least = Double(found.least)
        result.greatest = Double(found.greatest)
        result.mean = found.mean
        result.deviation = found.deviation
        unsafe place.pointee = result
    }
}

@c @implementation
public func eo_model_weight_histogram(
    _ model: OpaquePointer!, _ subgraph: Int32, _ tensor: Int32, _ counts: UnsafeMutablePointer<Int64>!, _ bins: Int32
) -> eo_status {
    call { () throws(Failure) in
        let place = try unsafe argument(counts, "counts")
        let source: ModelHandle = try unsafe object(model, "model")
        guard bins > 0, bins <= 1 << 20 else {
            throw .invalidArgument("eo_model_weight_histogram: bins is \(bins): expected 1 to \(1 << 20)")
        }
        let found = try values(source.model, subgraph, tensor)
        for (index, count) in WeightStatistics(found).histogram(found.real, bins: Int(bins)).enumerated() {
            unsafe place[index] = count
        }
    }
}
