import CEdgeOpt

// What the EO_..._INIT macros of edgeopt.h say, which Swift does not see.

extension eo_pruning_options {
    static var usual: Self {
        var options = Self()
        options.struct_size = MemoryLayout<Self>.size
        options.sparsity = 0.5
        (options.block_rows, options.block_columns) = (1, 4)
        (options.group_zeros, options.group_size) = (2, 4)
        return options
    }
}

extension eo_pruning_schedule {
    static var usual: Self {
        Self(
            struct_size: MemoryLayout<Self>.size, initial_sparsity: -1, begin_step: 0, end_step: -1, frequency: 100,
            power: 3, regrow: false)
    }
}

extension eo_channel_pruning_options {
    static var usual: Self {
        var options = Self()
        options.struct_size = MemoryLayout<Self>.size
        (options.ratio, options.multiple) = (0.5, 1)
        return options
    }
}

extension eo_clustering_options {
    static var usual: Self {
        var options = Self()
        options.struct_size = MemoryLayout<Self>.size
        (options.clusters, options.iterations) = (16, 100)
        (options.start, options.granularity) = (EO_CENTROIDS_KMEANS_PLUS_PLUS, EO_CLUSTERS_SCALED_CHANNELS)
        (options.preserve_zeros, options.int8_grid) = (true, true)
        return options
    }
}

extension eo_training_quantization {
    static var usual: Self {
        var options = Self()
        options.struct_size = MemoryLayout<Self>.size
        options.scheme = EO_SCHEME_INT8
        (options.weight_bits, options.range_momentum, options.freeze_step) = (8, 0.99, -1)
        return options
    }
}

extension eo_quantizer_options {
    static var usual: Self {
        var options = Self()
        options.struct_size = MemoryLayout<Self>.size
        options.scheme = EO_SCHEME_INT8
        (options.moving_average, options.min_weight_elements, options.num_threads) = (0.9, 1024, 1)
        return options
    }
}

extension eo_loss_term {
    static var usual: Self {
        var term = Self()
        term.struct_size = MemoryLayout<Self>.size
        (term.weight, term.delta, term.temperature) = (1, 1, 1)
        return term
    }
}

extension eo_trainer_options {
    static var usual: Self {
        var options = Self()
        options.struct_size = MemoryLayout<Self>.size
        (options.batch_size, options.num_threads) = (32, 1)
        options.optimizer = EO_OPTIMIZER_ADAM
        (options.learning_rate, options.weight_decay) = (-1, -1)
        (options.beta1, options.beta2, options.epsilon) = (0.9, -1, 1e-7)
        (options.decay_rate, options.power) = (0.1, 1)
        options.batch_norm_momentum = 0.99
        return options
    }
}
